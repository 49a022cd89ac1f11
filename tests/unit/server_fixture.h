/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests of the server: a pipeline before it, a real loop around it, and real sockets behind it. Clients never
 * block; the loop runs until it has nothing to do, and one that never gets there spins, which fails. One server at a
 * time.
 */
#pragma once

#include "output/server.h"
#include "pipeline/pipeline.h"
#include "tap.h"

#define TEXT_MAX (16 << 20)

extern char directory[64], path[80];
extern struct settings *settings;
extern struct pipeline *pipeline;
extern struct server *server;
extern sd_event *event;
extern unsigned notes; /* of warnings and worse */
extern char last_note[256];

/* What one client has read. */
extern char *text;
extern size_t size;
extern bool ended;
/* The clock of the event loop is so much later. */
extern uint64_t later_us;
/* The CPU time of the thread is so much more each time it is asked for. */
extern uint64_t cpu_step_us;
/* The server asks for the time; NULL: nothing. */
extern void (*on_clock)(void);

struct settings *settings_of(const char *socket);
void on_note(void *userdata, int level, const char *message);
void on_stats(void *userdata, yajl_gen gen);
int try_begin(const char *socket, int listen_fd);
void make_directory(void);
void begin(const char *socket);
void end_server(void);
void end(void);
TEARDOWN(end)
/* Until there is nothing to do; how many turns that were. */
unsigned settle(void);
int new_socket(void);
int connect_at(int fd);
int client(void);
void ask(int fd, const char *request);
/* What is there; true if there was something. */
bool take_some(int fd);
/* All lines are whole JSON in UTF-8. */
void check_lines(void);
/* All that comes, with the loop running. */
void take(int fd);
/* memmem: with the address sanitizer strstr measures the whole text each time. */
unsigned count_of(const char *what);
/* The line that begins here, without its end. */
const char *line_at(const char *at);
const char *last_line(void);
void exec_with(unsigned pid, const char *arg);
void exec_of(unsigned pid);
void exit_of(unsigned pid);
void execs(unsigned first, unsigned count);
/* Their ends, so that the table is small again. */
void exits(unsigned first, unsigned count);
struct server_stats stats(void);
uint64_t now_ms(void);
/* As many as it takes. */
size_t flood(int fd, const char *request);
void reload(const char *socket, int result);
