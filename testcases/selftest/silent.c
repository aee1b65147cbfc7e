// SPDX-License-Identifier: GPL-2.0
/* For testing the lab: exits with 0 and says nothing.  That is not a pass. */
int main(void)
{
	return 0;
}
