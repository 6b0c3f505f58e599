/* `bin/python` of a toolchain whose interpreter has started: see tests/warm_toolchains.py.

   FILE.told, beside this file, says what to be: five lines, the namespace of mounts, the socket of
   the interpreter, that of who starts it, its name there, and the Python that this is otherwise. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SCRIPT "/pipelines/run/fork_server.py"
#define LINES 5

extern char **environ;

static int connected(const char *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int asked = socket(AF_UNIX, SOCK_STREAM, 0);

    if (asked < 0 || strlen(place) >= sizeof(address.sun_path))
        return -1;
    strcpy(address.sun_path, place);
    return connect(asked, (struct sockaddr *)&address, sizeof(address)) ? -1 : asked;
}

static int sent(int asked, const char *text, size_t size)
{
    while (size) {
        ssize_t done = send(asked, text, size, MSG_NOSIGNAL);
        if (done < 0)
            return 0;
        text += done;
        size -= done;
    }
    return 1;
}

/* The three streams, with one byte. */
static int lent(int asked)
{
    char held[CMSG_SPACE(3 * sizeof(int))] = {0};
    struct iovec byte = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
    const int streams[] = {0, 1, 2};

    message.msg_control = held;
    message.msg_controllen = sizeof(held);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(streams));
    memcpy(CMSG_DATA(head), streams, sizeof(streams));
    return sendmsg(asked, &message, MSG_NOSIGNAL) == 1;
}

/* A Python literal of UTF-8 text. */
static void put(FILE *order, const char *text, size_t size)
{
    fputc('"', order);
    for (size_t i = 0; i < size; i++) {
        unsigned char each = text[i];
        if (each < ' ' || each == 0x7f || each == '"' || each == '\\')
            fprintf(order, "\\x%02x", each);
        else
            fputc(each, order);
    }
    fputc('"', order);
}

static int is_utf8(const char *text) { return mbstowcs(NULL, text, 0) != (size_t)-1; }

/* Whether a fork of the interpreter runs these words now. */
static int is_forked(char **told, char **words)
{
    char *place, *named, *text;
    size_t size;
    const char *tunables = getenv("GLIBC_TUNABLES");
    char byte;

    tunables = tunables ? tunables : "";
    if (asprintf(&place, "%s%s", told[1], tunables) < 0
        || asprintf(&named, "%s %s", told[3], tunables) < 0)
        return 0;
    if (access(place, F_OK)) {
        int asked = connected(told[2]);
        if (asked < 0 || !sent(asked, named, strlen(named)) || recv(asked, &byte, 1, 0) < 0)
            return 0;
        close(asked);
    }
    FILE *order = open_memstream(&text, &size);
    if (!order)
        return 0;
    fputs("{\"folder\": \"/\", \"words\": [", order);
    for (; *words; words++) {
        if (!is_utf8(*words))
            return 0;
        put(order, *words, strlen(*words));
        fputc(',', order);
    }
    fputs("], \"environment\": {", order);
    for (char **each = environ; *each; each++) {
        const char *value = strchr(*each, '=');
        if (!value || !is_utf8(*each))
            return 0;
        put(order, *each, value - *each);
        fputc(':', order);
        put(order, value + 1, strlen(value + 1));
        fputc(',', order);
    }
    fputs("}}", order);
    if (fclose(order))
        return 0;
    int asked = connected(place);
    return asked >= 0 && lent(asked) && sent(asked, text, size) && !shutdown(asked, SHUT_WR)
        && recv(asked, &byte, 1, 0) == 1;
}

int main(int argc, char **argv)
{
    char file[PATH_MAX], space[PATH_MAX], *told[LINES];
    ssize_t length = readlink("/proc/self/exe", file, sizeof(file) - sizeof(".told"));
    size_t room = 0, script = argc == 4 ? strlen(argv[2]) : 0;

    if (length < 0)
        return 1;
    strcpy(file + length, ".told");
    FILE *lines = fopen(file, "r");
    for (int i = 0; i < LINES; i++) {
        told[i] = NULL;
        if (!lines || (length = getline(&told[i], &room, lines)) < 1)
            return 1;
        told[i][length - 1] = 0;
    }
    fclose(lines);
    length = readlink("/proc/self/ns/mnt", space, sizeof(space) - 1);
    space[length < 0 ? 0 : length] = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    if (script >= strlen(SCRIPT) && !strcmp(argv[2] + script - strlen(SCRIPT), SCRIPT)
        && !strcmp(space, told[0]) && is_forked(told, argv + 2))
        return 0;
    argv[0] = told[4];
    execv(told[4], argv);
    return errno == ENOENT ? 127 : 126;
}
