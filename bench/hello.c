/* The smallest static program that a person would write: the yardstick for start-up. */
#include <unistd.h>

int main(void)
{
    static const char text[] = "Hello, World\n";
    return write(1, text, sizeof text - 1) == (ssize_t)(sizeof text - 1) ? 0 : 1;
}
