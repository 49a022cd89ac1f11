/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread, one event loop. The ring buffer comes first: it is drained whenever the kernel says so, and by a
 * short timer as long as records keep coming, so that a storm costs no wake-up per event. The timer's pauses grow from
 * turn to turn: on a quiet machine an event is told at once, in a storm many together. When a turn after a whole pause finds
 * nothing, the reader tells the producers that it sleeps, and no timer runs. Outputs never block.
 *
 * Start: attach; read what runs; fold in what happened meanwhile; then the outputs join, and each begins with
 * the same table. Clients that connect before that wait in the socket's backlog.
 */
#include "daemon.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>
#include <time.h>
#include <yajl/yajl_gen.h>

#include "census.h"
#include "config.h"
#include "console.h"
#include "decode.h"
#include "journal.h"
#include "log.h"
#include "pipeline.h"
#include "probe.h"
#include "server.h"
#include "store.h"
#include "watchdog.h"

#define DRAIN_MOST 2048		 /* records in one turn of the loop */
#define DRAIN_PAUSE_US 5000	 /* between two turns while records keep coming: the bound of their delay */
#define DRAIN_FIRST_US 300	 /* after a wake-up: what follows a fork, its exec above all, is there soon */
#define DRAIN_GROWTH 4		 /* of the pause, from turn to turn */
#define SKIPPED_PAUSE_US 100000	 /* between two looks at what probes skipped, while records keep coming */
#define CENSUS_PAUSE_US 500000	 /* between two comparisons of the table with the kernel's, while loss goes on */
#define STATUS_PAUSE_US 10000000 /* between two STATUS= lines, which come only with events */
#define STOP_MS 500		 /* for outputs to take what is queued, at the end */
#define RELOAD_MS 100		 /* for a journal that is switched off, to take what is queued */
#define TRIM_PROCESSES 64	 /* and a quarter: gone from the table until their memory is given back */
#define EPOCH_STEP_NS 1000000	 /* CLOCK_REALTIME moved against CLOCK_BOOTTIME: it was set, not slewed */

/* An ordinary value is drawn once from each boot's own id; it is no secret. */
#define BOOT_APPLICATION SD_ID128_MAKE(6d, 4e, 1f, 0b, 52, 3a, 47, 9c, 9a, 60, d3, 0c, 7b, 8e, 25, f4)

struct daemon {
	const struct daemon_options *options;
	struct settings *settings;
	sd_event *event;
	struct probe *probe;
	struct pipeline *pipeline;
	struct census *census;
	struct environment *environment;
	struct redact *redact;
	struct store *store;
	struct server *server;
	struct journal *journal;
	struct console *console;
	struct watchdog *watchdog;
	sd_event_source *drain_timer;
	uint64_t pause_us; /* before the next turn; 0 while the reader sleeps */
	uint64_t boot;
	int64_t epoch;
	uint64_t started_us, status_us, status_seq;
	unsigned loaded_processes;
	size_t processes_peak; /* in the table since memory was given back last */
	/* Loss in the kernel: what is told, and since when the table may be wrong. */
	uint64_t skipped_events, skipped_forks, skipped_us;
	uint64_t lost, census_lost, census_us; /* all together; when the last census began */
};

/* Clocks. */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* CLOCK_REALTIME - CLOCK_BOOTTIME, read as close together as three tries get. */
static int64_t read_epoch(void)
{
	uint64_t best = UINT64_MAX;
	int64_t epoch = 0;

	for (int i = 0; i < 3; i++) {
		uint64_t before = clock_ns(CLOCK_BOOTTIME), real = clock_ns(CLOCK_REALTIME);
		uint64_t after = clock_ns(CLOCK_BOOTTIME);

		if (after - before < best) {
			best = after - before;
			epoch = (int64_t)real - (int64_t)(before + (after - before) / 2);
		}
	}
	return epoch;
}

/* Both clocks are slewed alike, so their distance changes by steps only; less is noise of the reading. */
static void check_epoch(struct daemon *d)
{
	int64_t now = (int64_t)clock_ns(CLOCK_REALTIME) - (int64_t)clock_ns(CLOCK_BOOTTIME);

	if (llabs(now - d->epoch) < EPOCH_STEP_NS)
		return;
	d->epoch = read_epoch();
	pipeline_set_epoch(d->pipeline, d->epoch);
}

/* The data path. */

static int on_record(void *userdata, const void *data, size_t size)
{
	struct daemon *d = userdata;
	int r = pipeline_record(d->pipeline, data, size);

	if (r == -EBADMSG) {
		log_warning("a record of %zu bytes from the kernel makes no sense; it is counted and left out", size);
		return 0;
	}
	return r;
}

static void send_status(struct daemon *d)
{
	struct pipeline_stats stats;
	uint64_t now = clock_ns(CLOCK_MONOTONIC) / 1000;

	pipeline_stats(d->pipeline, &stats);
	if (stats.seq == d->status_seq || now - d->status_us < STATUS_PAUSE_US)
		return;
	d->status_us = now;
	d->status_seq = stats.seq;
	sd_notifyf(0, "STATUS=%zu processes; %llu started, %llu exited, %llu failed, %llu lost",
		   proctable_count(pipeline_table(d->pipeline)), (unsigned long long)stats.events[EVENT_STARTED],
		   (unsigned long long)stats.events[EVENT_EXITED], (unsigned long long)stats.events[EVENT_ERROR],
		   (unsigned long long)stats.lost_events);
}

/* What the probes skipped since the last look, where each is an event. */
static uint64_t look_for_skipped(struct daemon *d, uint64_t now_us)
{
	uint64_t events, forks, count;

	probe_skipped(d->probe, &events, &forks);
	count = events - d->skipped_events + (d->settings->probes.forks ? forks - d->skipped_forks : 0);
	d->skipped_events = events;
	d->skipped_forks = forks;
	d->skipped_us = now_us;
	return count;
}

/* One turn: some records, then what the outputs make of them. Returns the records taken. */
static int drain(struct daemon *d)
{
	uint64_t now_us = clock_ns(CLOCK_MONOTONIC) / 1000, skipped = 0;
	uint32_t lost_events, lost_forks;
	int n;

	check_epoch(d);
	n = probe_drain(d->probe, DRAIN_MOST, on_record, d);
	if (n < 0)
		return n;
	if (n < DRAIN_MOST) {
		/* Empty: a loss that no record behind it tells of. */
		if (n == 0 || now_us - d->skipped_us >= SKIPPED_PAUSE_US)
			skipped = look_for_skipped(d, now_us);
		probe_lost(d->probe, &lost_events, &lost_forks);
		pipeline_loss(d->pipeline, lost_events, lost_forks, skipped, clock_ns(CLOCK_BOOTTIME));
		d->lost = (uint64_t)lost_events + lost_forks + d->skipped_events + d->skipped_forks;
	}
	pipeline_flush(d->pipeline);
	return n;
}

/* After a loss the table is compared with the kernel's list, between the drains. True: there is more to do. */
static bool mend(struct daemon *d, bool ring_empty)
{
	uint64_t now_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	int r = 0;

	if (census_is_under_way(d->census))
		r = census_step(d->census, ring_empty, clock_ns(CLOCK_BOOTTIME));
	else if (d->lost == d->census_lost)
		return false;
	else if (ring_empty && now_us - d->census_us >= CENSUS_PAUSE_US) {
		d->census_lost = d->lost;
		d->census_us = now_us;
		r = census_begin(d->census);
	}
	if (r < 0)
		log_warning("comparing the process table with the kernel's: %s", strerror(-r));
	return true;
}

/*
 * Gives memory back to the kernel once many processes are gone. free(3) alone gives back only what is at the heap's very
 * end, and something that lives on is always there. It takes up to some milliseconds, so it is done when the ring is empty,
 * and a share of the processes has to be gone: a few times from a great many down to few.
 */
static void give_back(struct daemon *d)
{
	size_t count = proctable_count(pipeline_table(d->pipeline));

	if (d->processes_peak < count)
		d->processes_peak = count;
	if (d->processes_peak - count < TRIM_PROCESSES + d->processes_peak / 4)
		return;
	malloc_trim(0);
	d->processes_peak = count;
}

static int drain_and_schedule(struct daemon *d)
{
	int n = drain(d), r;
	bool busy;

	if (n < 0) {
		log_error("reading the ring buffer: %s", strerror(-n));
		return sd_event_exit(d->event, DAEMON_FAILED);
	}
	send_status(d);
	busy = mend(d, n < DRAIN_MOST);
	if (n < DRAIN_MOST)
		give_back(d);
	/* Only after a whole pause without a record: so nobody pays for more than one wake-up in that time. */
	if (n == 0 && !busy && d->pause_us == DRAIN_PAUSE_US && probe_sleep(d->probe)) {
		d->pause_us = 0;
		return sd_event_source_set_enabled(d->drain_timer, SD_EVENT_OFF);
	}
	if (n > 0)
		probe_awake(d->probe);
	d->pause_us = d->pause_us == 0 ? DRAIN_FIRST_US : d->pause_us * DRAIN_GROWTH;
	if (d->pause_us > DRAIN_PAUSE_US)
		d->pause_us = DRAIN_PAUSE_US;
	r = sd_event_source_set_time_relative(d->drain_timer,
					      n == DRAIN_MOST || census_is_under_way(d->census) ? 0 : d->pause_us);
	if (r >= 0)
		r = sd_event_source_set_time_accuracy(d->drain_timer, d->pause_us / 5);
	return r < 0 ? r : sd_event_source_set_enabled(d->drain_timer, SD_EVENT_ONESHOT);
}

static int on_ring(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)source;
	(void)fd;
	(void)revents;
	return drain_and_schedule(userdata);
}

static int on_drain_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)source;
	(void)usec;
	return drain_and_schedule(userdata);
}

/* Figures. */

static void gen_number(yajl_gen gen, const char *key, uint64_t value)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

	yajl_gen_string(gen, (const unsigned char *)key, strlen(key));
	yajl_gen_number(gen, text, (size_t)n);
}

static void gen_map(yajl_gen gen, const char *key)
{
	yajl_gen_string(gen, (const unsigned char *)key, strlen(key));
	yajl_gen_map_open(gen);
}

/* Resident memory of this process in bytes; proc(5), statm. */
static uint64_t resident_bytes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, resident = 0;

	if (!f || fscanf(f, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void gen_stats(void *userdata, yajl_gen gen)
{
	struct daemon *d = userdata;
	struct proctable *table = pipeline_table(d->pipeline);
	struct pipeline_stats pipeline;
	struct probe_stats probe;

	pipeline_stats(d->pipeline, &pipeline);
	probe_stats(d->probe, &probe);
	gen_number(gen, "seq", pipeline.seq);
	gen_number(gen, "uptime_s", (clock_ns(CLOCK_MONOTONIC) / 1000 - d->started_us) / 1000000);
	gen_map(gen, "events");
	for (enum event_type type = 0; type < EVENT_LIVE; type++)
		gen_number(gen, event_type_name(type), pipeline.events[type]);
	yajl_gen_map_close(gen);
	gen_map(gen, "lost");
	gen_number(gen, "fork", probe.lost_fork);
	gen_number(gen, "exec", probe.lost_exec);
	gen_number(gen, "exit", probe.lost_exit);
	gen_number(gen, "error", probe.lost_error);
	gen_number(gen, "args", probe.lost_args);
	gen_number(gen, "skipped", probe.skipped);
	gen_number(gen, "untold", pipeline.untold);
	gen_number(gen, "args_shortened", pipeline.args_shortened);
	gen_number(gen, "malformed", pipeline.malformed);
	yajl_gen_map_close(gen);
	gen_map(gen, "probes");
	yajl_gen_string(gen, (const unsigned char *)"errors", 6);
	yajl_gen_string(gen, (const unsigned char *)probe_errors_kind(d->probe), strlen(probe_errors_kind(d->probe)));
	gen_number(gen, "records", pipeline.records);
	gen_number(gen, "runs", probe.runs);
	gen_number(gen, "run_time_ns", probe.run_ns);
	gen_number(gen, "ring_buffer_bytes", probe.ring_size);
	gen_number(gen, "ring_buffer_used", probe.ring_used);
	yajl_gen_map_close(gen);
	gen_map(gen, "table");
	gen_number(gen, "processes", proctable_count(table));
	gen_number(gen, "args_bytes", proctable_memory(table));
	gen_number(gen, "retained", proctable_retained(table));
	yajl_gen_map_close(gen);
	if (d->journal) {
		struct journal_stats journal;

		journal_stats(d->journal, &journal);
		gen_map(gen, "journal");
		gen_number(gen, "written", journal.written);
		gen_number(gen, "lost", journal.lost);
		gen_number(gen, "queue", journal.queue);
		gen_number(gen, "queue_peak", journal.queue_peak);
		yajl_gen_map_close(gen);
	}
	gen_number(gen, "memory_bytes", resident_bytes());
}

/* Start. */

static void complain(void *userdata, const char *message)
{
	(void)userdata;
	log_error("%s", message);
}

int daemon_load_settings(struct settings **ret, const struct daemon_options *options)
{
	int r = settings_load(ret, options->config ? options->config : CONFIG_FILE, options->config != NULL, complain,
			      NULL);

	if (r == 0)
		log_set_level(options->verbose ? LOG_DEBUG : (*ret)->log.level);
	return r;
}

/* Fails with a message told, and the exit status. */
static int start_probe(struct daemon *d)
{
	struct probe_reason reason = {};
	int r = probe_new(&d->probe, d->settings, &reason);

	if (r == 0) {
		if (strcmp(probe_errors_kind(d->probe), "none") == 0)
			log_warning("failed execs %s", probe_errors_note(d->probe));
		else if (d->settings->probes.errors != ERRORS_OFF)
			log_info("failed execs are seen %s", probe_errors_note(d->probe));
		return DAEMON_OK;
	}
	log_error("%s", reason.text);
	return r == PROBE_E_UNSUPPORTED ? DAEMON_UNAVAILABLE : r == PROBE_E_PRIVILEGE ? DAEMON_NOPERM : DAEMON_FAILED;
}

static int make_redact(struct redact **ret, const struct settings *settings)
{
	return redact_new(ret, (const char *const *)settings->redact.options,
			  (const char *const *)settings->redact.pattern);
}

static int make_choosers(struct daemon *d)
{
	const char *reason;
	int r = make_redact(&d->redact, d->settings);

	if (r == 0 && d->settings->probes.env)
		r = environment_new(&d->environment, (const char *const *)d->settings->probes.env, &reason);
	return r;
}

static int start_pipeline(struct daemon *d)
{
	struct pipeline_config config = {
		.boot = d->boot,
		.forks = d->settings->probes.forks,
		.kernel_threads = d->settings->probes.kernel_threads,
		.args_limit = d->settings->probes.args_limit,
		.table_memory = d->settings->probes.table_memory,
	};
	int r = make_choosers(d);

	if (r < 0)
		return r;
	config.environment = d->environment;
	config.redact = d->redact;
	r = pipeline_new(&d->pipeline, &config);
	if (r < 0)
		return r;
	d->epoch = read_epoch();
	pipeline_set_epoch(d->pipeline, d->epoch);
	r = census_new(&d->census, d->probe, d->pipeline, d->settings);
	if (r == 0)
		r = census_load(d->census);
	if (r < 0)
		return r;
	d->loaded_processes = (unsigned)proctable_count(pipeline_table(d->pipeline));
	/* What happened while that was read. Bounded: a storm does not hold up the start for ever; what is left
	 * makes events. */
	for (int turns = 0; turns < 64; turns++) {
		r = drain(d);
		if (r <= 0)
			break;
	}
	if (r < 0)
		return r;
	pipeline_go_live(d->pipeline);
	return 0;
}

static void on_gone(void *userdata, int error)
{
	struct daemon *d = userdata;

	if (error != EPIPE)
		log_error("standard output: %s", strerror(error));
	sd_event_exit(d->event, error == EPIPE ? DAEMON_OK : DAEMON_FAILED);
}

static void on_note(void *userdata, int level, const char *message)
{
	(void)userdata;
	log_write(level, "%s", message);
}

static int start_console(struct daemon *d)
{
	int r = console_new(&d->console, d->event, STDOUT_FILENO, pipeline_table(d->pipeline), d->settings, d->boot,
			    on_gone, d);

	if (r < 0) {
		log_error("standard output: %s", strerror(-r));
		return r;
	}
	pipeline_add_sink(d->pipeline, console_sink(d->console));
	return console_join(d->console);
}

static int start_server(struct daemon *d)
{
	struct server_config config = {
		.settings = d->settings,
		.boot = d->boot,
		.stats = gen_stats,
		.note = on_note,
		.userdata = d,
	};
	_cleanup_close_ int fd = -1;
	size_t passed;
	int r = store_take_listening(d->store, &fd, &passed);

	if (r < 0) {
		log_error("systemd passed %zu descriptors; one listening stream socket was expected", passed);
		return r;
	}
	r = server_new(&d->server, d->event, pipeline_table(d->pipeline), &config, fd);
	if (r == -EADDRINUSE)
		log_error("%s: another daemon listens there", d->settings->socket.path);
	else if (r < 0)
		log_error("%s: %s", d->settings->socket.path, strerror(-r));
	if (r < 0)
		return r;
	TAKE_FD(fd);
	pipeline_add_sink(d->pipeline, server_sink(d->server));
	return 0;
}

static int start_journal(struct daemon *d)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct journal_config config = {
		.queue = d->settings->journal.queue,
		.keys = d->settings->journal.output.fields,
		.snapshot = d->settings->journal.snapshot,
		.boot = d->boot,
	};
	int r = settings_filter(&d->settings->journal.output, &filter);

	if (r < 0)
		return r;
	config.filter = filter;
	r = journal_new(&d->journal, &config);
	if (r < 0) {
		log_error("journal: %s", strerror(-r));
		return r;
	}
	TAKE_PTR(filter);
	pipeline_add_sink(d->pipeline, journal_sink(d->journal));
	return journal_join(d->journal, pipeline_table(d->pipeline));
}

static int start_outputs(struct daemon *d)
{
	int r = 0;

	if (d->options->to_stdout)
		return start_console(d);
	if (d->settings->socket.enabled)
		r = start_server(d);
	if (r == 0 && d->settings->journal.enabled)
		r = start_journal(d);
	return r;
}

/* Signals. */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;

	(void)source;
	(void)info;
	return sd_event_exit(d->event, DAEMON_OK);
}

/* What takes a restart to change, said once a reload. */
static void tell_unchanged(const struct settings *old, const struct settings *new)
{
	if (old->probes.errors != new->probes.errors || old->probes.ring_buffer != new->probes.ring_buffer ||
	    old->probes.forks != new->probes.forks || old->probes.kernel_threads != new->probes.kernel_threads ||
	    old->probes.args_limit != new->probes.args_limit || !string_list_equal(old->probes.env, new->probes.env) ||
	    strcmp(old->probes.btf ? old->probes.btf : "", new->probes.btf ? new->probes.btf : "") != 0)
		log_warning("[probes]: changes take a restart, but for table_memory");
	if (strcmp(old->socket.path, new->socket.path) != 0 || old->socket.enabled != new->socket.enabled)
		log_warning("[socket]: enabled and path take a restart to change");
}

/* On, off, or as it is with what is new. */
static int reload_journal(struct daemon *d, struct filter **filter)
{
	const struct settings *settings = d->settings;

	if (d->options->to_stdout)
		return 0;
	if (settings->journal.enabled && !d->journal)
		return start_journal(d);
	if (!settings->journal.enabled && d->journal) {
		pipeline_remove_sink(d->pipeline, journal_sink(d->journal));
		d->journal = journal_free(d->journal, RELOAD_MS);
	}
	if (d->journal) {
		journal_configure(d->journal, settings->journal.output.fields, TAKE_PTR(*filter));
		journal_set_queue(d->journal, settings->journal.queue);
	}
	return 0;
}

static int reload(struct daemon *d)
{
	_cleanup_(settings_free_p) struct settings *settings = NULL, *old = NULL;
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	_cleanup_(redact_free_p) struct redact *redact = NULL, *old_redact = NULL;
	int r = daemon_load_settings(&settings, d->options);

	if (r < 0)
		return r;
	r = settings_filter(&settings->journal.output, &filter);
	if (r == 0)
		r = make_redact(&redact, settings);
	if (r < 0)
		return r;
	if (d->server) {
		r = server_reload(d->server, settings);
		if (r < 0)
			return r;
	}
	tell_unchanged(d->settings, settings);
	old_redact = d->redact;
	d->redact = TAKE_PTR(redact);
	pipeline_set_redact(d->pipeline, d->redact);
	proctable_set_memory(pipeline_table(d->pipeline), settings->probes.table_memory);
	old = d->settings;
	d->settings = TAKE_PTR(settings);
	return reload_journal(d, &filter);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;
	int r;

	(void)source;
	(void)info;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(clock_ns(CLOCK_MONOTONIC) / 1000));
	r = reload(d);
	if (r < 0)
		log_error("the configuration was not reloaded; the old one stays in force");
	else
		log_info("configuration reloaded");
	sd_notify(0, "READY=1");
	return 0;
}

static int on_stats(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;
	yajl_gen gen = yajl_gen_alloc(NULL);
	const unsigned char *text;
	size_t size;

	(void)source;
	(void)info;
	if (!gen)
		return 0;
	yajl_gen_map_open(gen);
	gen_stats(d, gen);
	yajl_gen_map_close(gen);
	if (yajl_gen_get_buf(gen, &text, &size) == yajl_gen_status_ok)
		log_info("%.*s", (int)size, text);
	yajl_gen_free(gen);
	return 0;
}

static int watch_signals(struct daemon *d)
{
	static const struct {
		int number;
		sd_event_signal_handler_t handler;
	} signals[] = {
		{ SIGTERM, on_stop },
		{ SIGINT, on_stop },
		{ SIGHUP, on_reload },
		{ SIGUSR1, on_stats },
	};
	sigset_t set;
	int r = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; r >= 0 && i < sizeof(signals) / sizeof(signals[0]); i++)
		r = sd_event_add_signal(d->event, NULL, signals[i].number, signals[i].handler, d);
	return r;
}

static int watch_ring(struct daemon *d)
{
	sd_event_source *source = NULL;
	int r = sd_event_add_io(d->event, &source, probe_fd(d->probe), EPOLLIN | EPOLLET, on_ring, d);

	if (r < 0)
		return r;
	/* Before everything else: what waits there cannot wait elsewhere. */
	r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0)
		r = sd_event_source_set_floating(source, true);
	sd_event_source_unref(source);
	if (r < 0)
		return r;
	/* Due at once: it looks for what came while the outputs joined, and goes to sleep if there is nothing. */
	return sd_event_add_time_relative(d->event, &d->drain_timer, CLOCK_MONOTONIC, 0, 1000, on_drain_timer, d);
}

/* The watchdog. */

static void watchdog_look(void *userdata, struct watchdog_path *ret)
{
	struct daemon *d = userdata;
	struct pipeline_stats stats;

	pipeline_stats(d->pipeline, &stats);
	*ret = (struct watchdog_path){ .taken = stats.records, .waiting = probe_waiting(d->probe) };
}

static int watchdog_push(void *userdata)
{
	struct daemon *d = userdata;

	log_warning(
		"records wait in the ring buffer, and nothing was read for half of the watchdog's time; reading now");
	return drain_and_schedule(d);
}

static void watchdog_feed(void *userdata)
{
	(void)userdata;
	sd_notify(0, "WATCHDOG=1");
}

static int start_watchdog(struct daemon *d)
{
	static const struct watchdog_ops ops = { watchdog_look, watchdog_push, watchdog_feed };
	uint64_t usec = 0;
	int r = sd_watchdog_enabled(1, &usec);

	return r < 0 ? r : watchdog_new(&d->watchdog, d->event, r > 0 ? usec : 0, &ops, d);
}

/* It took this one to open the tracepoints, and nothing more takes it: what we can't do, nobody can make us do. */
static void drop_sys_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	const uint32_t bit = UINT32_C(1) << CAP_SYS_ADMIN; /* of the first 32 */

	if (syscall(SYS_capget, &head, data) < 0 || !(data[0].permitted & bit))
		return;
	/* The bounding set is for programs that it runs: there are none. */
	data[0].effective &= ~bit;
	data[0].permitted &= ~bit;
	data[0].inheritable &= ~bit;
	if (syscall(SYS_capset, &head, data) < 0)
		log_warning("giving up CAP_SYS_ADMIN: %s", strerror(errno));
}

static void daemon_stop(struct daemon *d)
{
	sd_notify(0, "STOPPING=1");
	/* What happened until now is told. */
	if (d->pipeline && d->probe)
		drain(d);
	if (d->server)
		server_drain(d->server, STOP_MS);
	if (d->console)
		console_drain(d->console, STOP_MS);
	d->server = server_free(d->server);
	d->journal = journal_free(d->journal, STOP_MS);
	d->console = console_free(d->console);
	d->watchdog = watchdog_free(d->watchdog);
	sd_event_source_unref(d->drain_timer);
	d->census = census_free(d->census);
	/* After its sinks, whose subscribers look at its table. */
	d->pipeline = pipeline_free(d->pipeline);
	d->redact = redact_free(d->redact);
	d->environment = environment_free(d->environment);
	d->probe = probe_free(d->probe);
	sd_event_unref(d->event);
	d->store = store_free(d->store);
	d->settings = settings_free(d->settings);
}

/* Before anything else can have a descriptor where those are that were passed. */
static int take_passed(struct daemon *d)
{
	size_t strange = 0;
	int r = store_new(&d->store);

	if (r == 0)
		strange = store_discard(d->store);
	if (strange > 0)
		log_info("%zu descriptors that another version of the daemon left are closed", strange);
	return r;
}

static int daemon_start(struct daemon *d)
{
	sd_id128_t id;
	int r;

	d->started_us = clock_ns(CLOCK_MONOTONIC) / 1000;
	r = take_passed(d);
	if (r < 0) {
		log_error("taking over what systemd passed: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	if (daemon_load_settings(&d->settings, d->options) < 0)
		return DAEMON_CONFIG;
	r = sd_id128_get_boot_app_specific(BOOT_APPLICATION, &id);
	if (r < 0) {
		log_error("reading the boot id: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	memcpy(&d->boot, id.bytes, sizeof(d->boot));
	r = sd_event_default(&d->event);
	if (r >= 0)
		r = watch_signals(d);
	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	r = start_probe(d);
	if (r != DAEMON_OK)
		return r;
	r = start_pipeline(d);
	if (r < 0) {
		log_error("reading the running processes: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	if (start_outputs(d) < 0)
		return DAEMON_FAILED;
	r = watch_ring(d);
	if (r >= 0)
		r = start_watchdog(d);
	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	return DAEMON_OK;
}

int daemon_run(const struct daemon_options *options)
{
	struct daemon d = { .options = options };
	int r = daemon_start(&d);

	if (r == DAEMON_OK) {
		drop_sys_admin();
		/* What loading took (the kernel's type information, above all) is not needed any more. */
		malloc_trim(0);
		log_info("watching %u processes; ready after %llu ms", d.loaded_processes,
			 (unsigned long long)(clock_ns(CLOCK_MONOTONIC) / 1000 - d.started_us) / 1000);
		sd_notifyf(0, "READY=1\nSTATUS=%zu processes", proctable_count(pipeline_table(d.pipeline)));
		r = sd_event_loop(d.event);
		if (r < 0) {
			log_error("event loop: %s", strerror(-r));
			r = DAEMON_FAILED;
		}
	}
	daemon_stop(&d);
	return r;
}
