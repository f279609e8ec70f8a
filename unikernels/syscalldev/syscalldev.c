/* The same probe in a guest that has one device of each kind. */
#include "../syscall/syscall.c"
