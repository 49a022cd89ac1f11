/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pipeline/enrich.h"

#include <sys/sysinfo.h>

#include "util/nulstr.h"

#define ARG_CHUNKS_MAX (64 << 20) /* bytes of memory, unless args_limit wants more */

/* Arguments and environments of as many execs as can be under way, and one more. */
static size_t chunks_max(uint64_t args_limit)
{
	static size_t cpus; /* get_nprocs_conf(3) reads a file; the number never changes */
	const size_t one = args_limit + RECORD_CHUNK;
	size_t most;

	if (cpus == 0)
		cpus = (size_t)get_nprocs_conf();
	most = 2 * (cpus + 1) * one;
	return most < ARG_CHUNKS_MAX ? most : ARG_CHUNKS_MAX < 4 * one ? 4 * one : ARG_CHUNKS_MAX;
}

int enricher_init(struct enricher *e, uint64_t args_limit)
{
	return arg_chunks_new(&e->chunks, args_limit + RECORD_CHUNK, chunks_max(args_limit));
}

void enricher_clear(struct enricher *e)
{
	e->chunks = arg_chunks_free(e->chunks);
}

static struct arg_chunks_key list_of(const struct decoded *d, uint32_t kind)
{
	return (struct arg_chunks_key){ .kind = kind, .tgid = d->head->tgid, .time = d->head->time };
}

int enrich_chunk(struct enricher *e, const struct decoded *d)
{
	return arg_chunks_add(e->chunks, list_of(d, d->head->kind), d->position, d->chunk);
}

bool enrich_args(struct enricher *e, struct decoded *d)
{
	struct image *image = &d->process.image;
	struct bytes came = d->args_before ? arg_chunks_find(e->chunks, list_of(d, RECORD_ARGS)) : BYTES_NONE;
	bool came_whole = came.size == d->args_before;

	if (came.data)
		image->args = came;
	if (!image->args.data && came_whole && image->args_size == 0)
		image->args = BYTES("");
	if (image->args.data && image->args.size < image->args_size) {
		image->args.size = nulstr_cut(image->args, image->args.size);
		image->args_truncated = true;
	}
	if (!image->args.data && image->args_size > 0) {
		/* Not one byte of them: there were some. */
		image->args = BYTES("");
		image->args_truncated = true;
	}
	return came_whole;
}

void enrich_env(struct enricher *e, struct decoded *d)
{
	struct image *image = &d->process.image;
	struct bytes came = d->env_before ? arg_chunks_find(e->chunks, list_of(d, RECORD_ENV)) : BYTES_NONE;
	struct bytes block = came.data ? came : image->env;

	image->env = BYTES_NONE;
	if (d->env_size == 0 || !e->environment)
		return;
	if (block.size < d->env_size)
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_ENV);
	else
		enrich_choose(e, image, block);
}

void enrich_choose(struct enricher *e, struct image *image, struct bytes block)
{
	image->env = BYTES_NONE;
	if (e->environment && environment_choose(e->environment, block, &image->env) < 0)
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_ENV);
}

void enrich_drop_chunks(struct enricher *e, const struct decoded *d)
{
	if (d->args_before)
		arg_chunks_drop(e->chunks, list_of(d, RECORD_ARGS));
	if (d->env_before)
		arg_chunks_drop(e->chunks, list_of(d, RECORD_ENV));
}

bool enrich_mask(struct enricher *e, struct image *image)
{
	int args = 0, env = 0;

	if (e->redact && image->args.data)
		args = redact_args(e->redact, image->args, &image->args);
	if (e->redact && image->env.data)
		env = redact_env(e->redact, image->env, &image->env);
	/* No memory to mask them: they may not be seen. */
	if (args < 0) {
		image->args = BYTES("");
		image->args_truncated = true;
	}
	if (env < 0) {
		image->env = BYTES_NONE;
		image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_ENV);
	}
	return args != 0 || env != 0;
}

void enrich_image(struct enricher *e, struct image *image)
{
	if (image->cgroup.data) {
		image->unit = cgroup_unit(image->cgroup);
		image->container_id = cgroup_container_id(image->cgroup, e->container_id);
		image->pod_uid = cgroup_pod_uid(image->cgroup, e->pod_uid);
	}
	enrich_mask(e, image);
}

int enrich_restored(void *enricher, struct image *image)
{
	struct enricher *e = enricher;

	if (image->env.data)
		enrich_choose(e, image, image->env);
	enrich_image(e, image);
	return 0;
}
