/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One thread, one event loop: the reader of the ring buffer first, then outputs, which never block.
 *
 * Start: attach; read what runs; fold in what happened meanwhile; then the outputs join, and each begins with
 * the same table. Clients that connect before that wait in the socket's backlog.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#include "config.h"
#include "daemon/daemon_internal.h"
#include "daemon/stats.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/notify.h"

#define STATUS_PAUSE_US 10000000 /* between two STATUS= lines, which come only with events */
#define STOP_MS 500		 /* for outputs to take what is queued, at the end */

/* An ordinary value is drawn once from each boot's own id; it is no secret. */
#define BOOT_APPLICATION SD_ID128_MAKE(6d, 4e, 1f, 0b, 52, 3a, 47, 9c, 9a, 60, d3, 0c, 7b, 8e, 25, f4)

/* Figures. */

static void send_status(void *userdata)
{
	struct daemon *d = userdata;
	struct pipeline_stats stats;
	uint64_t now = clock_us(CLOCK_MONOTONIC);

	pipeline_stats(d->pipeline, &stats);
	if (stats.seq == d->status_seq || now - d->status_us < STATUS_PAUSE_US)
		return;
	d->status_us = now;
	d->status_seq = stats.seq;
	notify_send("STATUS=%zu processes; %llu started, %llu exited, %llu failed, %llu lost",
		    proctable_count(pipeline_table(d->pipeline)), (unsigned long long)stats.events[EVENT_STARTED],
		    (unsigned long long)stats.events[EVENT_EXITED], (unsigned long long)stats.events[EVENT_ERROR],
		    (unsigned long long)stats.lost_events);
}

static struct daemon_stats stats_of(const struct daemon *d)
{
	return (struct daemon_stats){
		.pipeline = d->pipeline,
		.probe = d->probe,
		.journal = d->journal,
		.uptime_s = (clock_us(CLOCK_MONOTONIC) - d->started_us) / 1000000,
		.turns = d->turns,
	};
}

static void gen_stats(void *userdata, yajl_gen gen)
{
	struct daemon_stats figures = stats_of(userdata);

	stats_gen(&figures, gen);
}

/* Start. */

static void complain(void *userdata, int level, const char *message)
{
	log_write(level, "%s", message);
}

int daemon_load_settings(struct settings **ret, const struct daemon_options *options)
{
	return settings_load(ret, options->config ? options->config : CONFIG_FILE, options->config != NULL, complain,
			     NULL);
}

void daemon_set_log_level(const struct daemon_options *options, const struct settings *settings)
{
	log_set_level(options->verbose ? LOG_DEBUG : settings->log.level);
}

/* Fails with a message told, and the exit status. */
int daemon_start_probe(struct daemon *d)
{
	struct probe_reason reason = {};
	int r = probe_new(&d->probe, d->settings, &reason);

	if (r == 0) {
		if (probe_is_fallback(d->probe))
			log_info("no usable kernel BTF; falling back to raw tracepoints (slightly slower)");
		if (strcmp(probe_errors_kind(d->probe), "none") == 0)
			log_warning("failed execs %s", probe_errors_description(d->probe));
		else if (d->settings->probes.errors != ERRORS_OFF)
			log_info("failed execs are seen %s", probe_errors_description(d->probe));
		return DAEMON_OK;
	}
	log_error("%s", reason.text);
	return r == PROBE_E_UNSUPPORTED ? DAEMON_UNAVAILABLE : r == PROBE_E_PRIVILEGE ? DAEMON_NOPERM : DAEMON_FAILED;
}

int daemon_make_redact(struct redact **ret, const struct settings *settings)
{
	return redact_new(ret, (const char *const *)settings->redact.options,
			  (const char *const *)settings->redact.pattern);
}

static int make_choosers(struct daemon *d)
{
	const char *reason;
	int r = daemon_make_redact(&d->redact, d->settings);

	if (r == 0 && d->settings->probes.env)
		r = environment_new(&d->environment, (const char *const *)d->settings->probes.env, &reason);
	return r;
}

/* Of the consumer. */

static void on_turned(void *userdata)
{
	struct daemon *d = userdata;

	probe_update_layouts(d->probe);
	send_status(d);
}

static int on_failed(void *userdata, int error)
{
	struct daemon *d = userdata;

	log_error("reading the ring buffer: %s", strerror(-error));
	return sd_event_exit(d->event, DAEMON_FAILED);
}

static void on_note(void *userdata, int level, const char *message)
{
	log_write(level, "%s", message);
}

static const struct consumer_ops consumer_ops = { .turned = on_turned, .failed = on_failed, .log = on_note };

/* The pipeline, and its reader without probes. */
int daemon_make_pipeline(struct daemon *d)
{
	struct checkpoint_counters *counters = d->checkpoint ? &checkpoint_page(d->checkpoint)->counters : NULL;
	struct pipeline_config config = {
		.boot = d->boot,
		.forks = d->settings->probes.forks,
		.kernel_threads = d->settings->probes.kernel_threads,
		.args_limit = d->settings->probes.args_limit,
		.table_memory = d->settings->probes.table_memory,
		.environment = d->environment,
		.redact = d->redact,
		.checkpoint = counters,
	};
	int r = pipeline_new(&d->pipeline, &config);

	if (r == 0)
		r = consumer_new(&d->consumer, d->event, d->pipeline, d->settings->probes.forks, counters,
				 &consumer_ops, d);
	return r;
}

int daemon_make_resync(struct daemon *d)
{
	const struct resync_config config = {
		.ring = probe_source(d->probe)->ring,
		.list_tasks = probe_list_tasks,
		.probe = d->probe,
		.pipeline = d->pipeline,
		.settings = d->settings,
	};
	int r = resync_new(&d->resync, &config);

	if (r == 0)
		consumer_set_resync(d->consumer, d->resync);
	return r;
}

static int start_pipeline(struct daemon *d)
{
	int r = daemon_make_pipeline(d);

	if (r == 0)
		r = consumer_set_source(d->consumer, probe_source(d->probe));
	if (r == 0)
		r = daemon_make_resync(d);
	if (r == 0)
		r = resync_load(d->resync, UINT64_MAX);
	if (r < 0)
		return r;
	/* What happened while that was read; what comes later makes events. */
	r = consumer_settle(d->consumer);
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

static int start_stdout(struct daemon *d)
{
	struct stdout_output_config config = {
		.fd = STDOUT_FILENO,
		.table = pipeline_table(d->pipeline),
		.settings = d->settings,
		.boot = d->boot,
		.gone = on_gone,
		.userdata = d,
	};
	int r = stdout_output_new(&d->stdout_output, d->event, &config);

	if (r < 0) {
		log_error("standard output: %s", strerror(-r));
		return r;
	}
	pipeline_add_sink(d->pipeline, stdout_output_sink(d->stdout_output));
	return stdout_output_join(d->stdout_output);
}

static int start_server(struct daemon *d)
{
	struct server_config config = {
		.settings = d->settings,
		.boot = d->boot,
		.checkpoint = d->checkpoint,
		.store = d->store,
		.left = d->left,
		.stats = gen_stats,
		.note = on_note,
		.userdata = d,
	};
	_cleanup_close_ int fd = -1;
	size_t passed;
	int r = fdstore_take_listening(d->store, &fd, &passed);

	if (r < 0) {
		log_error("systemd passed %zu descriptors; expected one listening stream socket", passed);
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
	daemon_resume_subscribers(d);
	return 0;
}

int daemon_start_journal(struct daemon *d)
{
	_cleanup_(filter_free_p) struct filter *filter = NULL;
	struct journal_config config = {
		.queue = d->settings->journal.queue,
		.keys = d->settings->journal.output.fields,
		.snapshot = d->settings->journal.snapshot,
		.checkpoint = d->checkpoint ? &checkpoint_page(d->checkpoint)->journal : NULL,
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
	return daemon_resume_journal(d) ? 0 : journal_join(d->journal, pipeline_table(d->pipeline));
}

int daemon_start_outputs(struct daemon *d)
{
	int r = 0;

	if (d->options->to_stdout)
		return start_stdout(d);
	if (d->settings->socket.enabled)
		r = start_server(d);
	server_discard_listener(d->store, d->left); /* if it is there still */
	if (r == 0 && d->settings->journal.enabled)
		r = daemon_start_journal(d);
	if (r == 0)
		daemon_keep_checkpoint(d);
	return r;
}

/* Signals. */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;

	return sd_event_exit(d->event, DAEMON_OK);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon *d = userdata;
	int r;

	notify_send("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_us(CLOCK_MONOTONIC));
	r = daemon_reload(d);
	if (r < 0)
		log_error("configuration not reloaded; the previous one remains in effect");
	else
		log_info("configuration reloaded");
	notify_send("READY=1");
	return 0;
}

static int on_stats(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct daemon_stats figures = stats_of(userdata);

	stats_log(&figures);
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

/* The watchdog. */

static void watchdog_look(void *userdata, struct watchdog_path *ret)
{
	struct daemon *d = userdata;
	struct pipeline_stats stats;

	pipeline_stats(d->pipeline, &stats);
	*ret = (struct watchdog_path){ .taken = stats.records, .waiting = ringbuf_used(probe_source(d->probe)->ring) };
}

static int watchdog_push(void *userdata)
{
	struct daemon *d = userdata;

	log_warning(
		"records wait in the ring buffer, but none was read for half of the watchdog interval; reading now");
	return consumer_turn(d->consumer);
}

static void watchdog_feed(void *userdata)
{
	notify_send("WATCHDOG=1");
}

static int start_watchdog(struct daemon *d)
{
	static const struct watchdog_ops ops = { watchdog_look, watchdog_push, watchdog_feed };
	uint64_t usec = 0;
	int r = sd_watchdog_enabled(1, &usec);

	return r < 0 ? r : watchdog_new(&d->watchdog, d->event, r > 0 ? usec : 0, &ops, d);
}

/* Capabilities: those that matter here are of the first 32. */

static bool get_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, data) == 0;
}

/* Each such file is left out where it is not to be read (procfs.h): the reason is told once. */
static void tell_without_ptrace(void)
{
	struct __user_cap_data_struct data[2] = {};

	if (get_capabilities(data) && !(data[0].effective & (UINT32_C(1) << CAP_SYS_PTRACE)))
		log_warning(
			"no CAP_SYS_PTRACE: exe, cwd and env of already running processes of other users will be missing");
}

/* It took this one to open the tracepoints, and nothing more takes it: what we can't do, nobody can make us do. */
static void drop_sys_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};
	const uint32_t bit = UINT32_C(1) << CAP_SYS_ADMIN;

	if (!get_capabilities(data) || !(data[0].permitted & bit))
		return;
	/* The bounding set is for programs that it runs: there are none. */
	data[0].effective &= ~bit;
	data[0].permitted &= ~bit;
	data[0].inheritable &= ~bit;
	if (syscall(SYS_capset, &head, data) < 0)
		log_warning("dropping CAP_SYS_ADMIN: %s", strerror(errno));
}

static void daemon_stop(struct daemon *d, bool leaves)
{
	notify_send("STOPPING=1");
	/* What happened until now is told. */
	if (d->consumer && d->probe)
		consumer_drain(d->consumer);
	/* While the other sinks, which it stands among, are still there. */
	d->resync = resync_free(d->resync);
	if (leaves)
		daemon_leave(d);
	if (d->server)
		server_drain(d->server, STOP_MS);
	if (d->stdout_output)
		stdout_output_drain(d->stdout_output, STOP_MS);
	d->server = server_free(d->server);
	d->journal = journal_free(d->journal, STOP_MS);
	d->stdout_output = stdout_output_free(d->stdout_output);
	d->watchdog = watchdog_free(d->watchdog);
	d->consumer = consumer_free(d->consumer);
	/* After its sinks, whose subscribers look at its table. */
	d->pipeline = pipeline_free(d->pipeline);
	d->redact = redact_free(d->redact);
	d->environment = environment_free(d->environment);
	d->probe = probe_free(d->probe);
	d->previous = record_source_free(d->previous);
	if (!notify_flush(STOP_MS))
		log_warning("the service manager has not read %zu messages", notify_waiting());
	notify_unwatch();
	sd_event_unref(d->event);
	d->store = fdstore_free(d->store);
	d->checkpoint = checkpoint_free(d->checkpoint);
	if (d->settings != d->boot_settings)
		settings_free(d->settings);
	d->settings = d->boot_settings = settings_free(d->boot_settings);
}

/* As if nothing had been before. Fails with a message told, and the exit status. */
int daemon_begin(struct daemon *d)
{
	int r;

	d->previous = record_source_free(d->previous);
	r = daemon_start_probe(d);
	if (r != DAEMON_OK)
		return r;
	r = start_pipeline(d);
	if (r < 0) {
		log_error("reading the running processes: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	d->loaded_processes = (unsigned)proctable_count(pipeline_table(d->pipeline));
	return daemon_start_outputs(d) < 0 ? DAEMON_FAILED : DAEMON_OK;
}

static int daemon_start(struct daemon *d)
{
	sd_id128_t id;
	int r;

	d->started_us = clock_us(CLOCK_MONOTONIC);
	/* Before anything else can have a descriptor where those are that were passed. */
	r = fdstore_new(&d->store);
	if (r < 0) {
		log_error("taking over the descriptors that systemd passed: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	if (daemon_load_settings(&d->settings, d->options) < 0)
		return DAEMON_CONFIG;
	d->boot_settings = d->settings;
	daemon_set_log_level(d->options, d->settings);
	r = sd_id128_get_boot_app_specific(BOOT_APPLICATION, &id);
	if (r < 0) {
		log_error("reading the boot id: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	memcpy(&d->boot, id.bytes, sizeof(d->boot));
	r = sd_event_default(&d->event);
	if (r >= 0)
		r = watch_signals(d);
	if (r >= 0)
		r = notify_watch(d->event, on_note, d);
	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	/* systemd says by it that the unit has a store (since version 254; for older ones the unit file does). */
	r = !d->options->to_stdout && getenv("FDSTORE") ? daemon_make_checkpoint(d) : 0;
	if (r == 0)
		r = make_choosers(d);
	if (r < 0) {
		log_error("settings: %s", strerror(-r));
		return DAEMON_FAILED;
	}
	r = daemon_begin_or_go_on(d);
	if (r != DAEMON_OK)
		return r;
	r = consumer_watch(d->consumer);
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
	bool started;
	int r;

	/* Where huge pages are for all, the kernel makes one of a few pages that are left, and memory that was given back is taken
	 * again (mm/khugepaged.c, max_ptes_none). If it may not be said, it is only more memory. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/* A large line goes back at once. By itself malloc(3) would take the next ones from the heap, whose end it then keeps twice
	 * the size of the largest (M_MMAP_THRESHOLD in mallopt(3)). */
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	r = daemon_start(&d);
	started = r == DAEMON_OK;
	if (started) {
		drop_sys_admin();
		tell_without_ptrace();
		/* What loading took (the kernel's type information, above all) is not needed any more. */
		malloc_trim(0);
		log_info("watching %u processes; ready after %llu ms", d.loaded_processes,
			 (unsigned long long)(clock_us(CLOCK_MONOTONIC) - d.started_us) / 1000);
		notify_send("READY=1\nSTATUS=%zu processes", proctable_count(pipeline_table(d.pipeline)));
		r = turns_run(d.event, &d.turns);
		if (r < 0) {
			log_error("event loop: %s", strerror(-r));
			r = DAEMON_FAILED;
		}
	}
	daemon_stop(&d, started && r == DAEMON_OK);
	return r;
}
