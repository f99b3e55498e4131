/* Asks for names with musl's getaddrinfo: "resolve NAME...", or "resolve wait" until SIGTERM. */
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void leave(int number)
{
	(void)number;
	_exit(EXIT_SUCCESS);
}

static int lookup(const char *name)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	char text[INET6_ADDRSTRLEN];
	int error = getaddrinfo(name, NULL, &hints, &found);

	printf("%s:", name);
	if (error) {
		printf(" %s\n", gai_strerror(error));
		return EXIT_FAILURE;
	}
	for (struct addrinfo *one = found; one; one = one->ai_next) {
		getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
		printf(" %s", text);
	}
	printf("\n");
	freeaddrinfo(found);
	return EXIT_SUCCESS;
}

int main(int count, char **words)
{
	int status = EXIT_SUCCESS;

	signal(SIGTERM, leave);
	if (count == 2 && !strcmp(words[1], "wait"))
		for (;;)
			pause();
	for (int i = 1; i < count; i++)
		status |= lookup(words[i]);
	return status;
}
