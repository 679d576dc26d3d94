// Exercise: undead
// Fails: does not compile
// Has the compiler report errors without end.
#include __FILE__
#include __FILE__
#include __FILE__
int main;
