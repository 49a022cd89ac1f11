/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replaces images of the table: a reload may bring rules by which they are masked. Many versions
 * may share an image (a fork shares its parent's), so each image is changed once, and all versions
 * that share it get the new one.
 */
#include "model/proctable_internal.h"

/* Indexed by the old image's number. */
struct changed {
	struct image_data *image_data; /* NULL: no change */
	struct image image;
};

static size_t number_images(struct proctable *table)
{
	unsigned count = 0;

	for (struct version *version = table->first; version; version = version->next)
		if (version->image_data && version->image_data->number == 0)
			version->image_data->number = ++count;
	return count;
}

/* What is done if there is no memory for the new image. */
static void hide(struct image *image)
{
	image->args = BYTES("");
	image->args_truncated = true;
	image->env = BYTES_NONE;
	image->incomplete |= INCOMPLETE_BIT(INCOMPLETE_ENV);
}

static void take(struct proctable *table, struct version *version, struct changed *changed)
{
	struct image_data *old = version->image_data;

	version->entry.process.image = changed->image;
	if (!changed->image_data)
		return;
	changed->image_data->refs++;
	version->image_data = changed->image_data;
	if (version_is_live(version)) {
		image_data_enter(table, version->image_data);
		old->live--;
		image_data_retain(table, old);
	} else {
		image_data_retain(table, version->image_data);
	}
	image_data_unref(table, old);
}

void proctable_change_images(struct proctable *table, bool (*change)(void *userdata, struct image *image),
			     void *userdata)
{
	size_t count = number_images(table), next = 0;
	struct changed *changed = calloc(count + 1, sizeof(*changed));

	for (struct version *version = table->first; version; version = version->next) {
		size_t number = version->image_data ? version->image_data->number : 0;
		struct changed *c = changed ? &changed[number] : NULL;

		if (number == 0)
			continue;
		if (!c) {
			hide(&version->entry.process.image);
			continue;
		}
		/* Numbers are in the order of the list. */
		if (number > next) {
			next = number;
			c->image = version->entry.process.image;
			if (change(userdata, &c->image) && image_copy(table, &c->image, &c->image_data) < 0)
				hide(&c->image);
		}
		take(table, version, c);
	}
	for (size_t i = 1; changed && i <= count; i++)
		image_data_unref(table, changed[i].image_data);
	for (struct version *version = table->first; version; version = version->next)
		if (version->image_data)
			version->image_data->number = 0;
	free(changed);
}
