// Exercise: undead
// Fails: does not compile
// Fills the disk.
char large[1u << 30] = { 1 };

int main(void)
{
	return 0;
}
