/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replaces images of the table: a reload may bring rules by which they are masked. Many versions
 * may share an image (a fork shares its parent's), so each image is changed once, and all versions
 * that share it get the new one, within one portion.
 */
#include "model/proctable_internal.h"

/* Indexed by the old image's number. */
struct changed {
	enum image_change change;
	struct image_data *image_data; /* CHANGED */
	struct image image;
};

/* Those that were not looked at yet. */
static size_t number_images(struct proctable *table)
{
	unsigned count = 0;

	for (struct version *version = table->first; version; version = version->next)
		if (version->image_data && version->image_data->rules != table->rules &&
		    version->image_data->number == 0)
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

static void replace(struct proctable *table, struct version *version, struct image_data *new)
{
	struct image_data *old = version->image_data;

	new->refs++;
	version->image_data = new;
	if (version_is_live(version)) {
		image_data_enter(table, new);
		old->live--;
		image_data_retain(table, old);
	} else {
		image_data_retain(table, new);
	}
	image_data_unref(table, old);
}

static void change_one(struct proctable *table, struct changed *c, const struct image *image,
		       enum image_change (*change)(void *userdata, struct image *image), void *userdata)
{
	c->image = *image;
	c->change = change(userdata, &c->image);
	if (c->change == IMAGE_CHANGED && image_copy(table, &c->image, &c->image_data) < 0)
		hide(&c->image);
}

/* All are hidden: there is no memory for the changes. */
static void hide_numbered(struct proctable *table)
{
	for (struct version *version = table->first; version; version = version->next)
		if (version->image_data && version->image_data->number > 0)
			hide(&version->entry.process.image);
}

/* Takes the numbers away. */
static void set_looked_at(struct proctable *table, const struct changed *changed)
{
	for (struct version *version = table->first; version; version = version->next) {
		struct image_data *data = version->image_data;

		if (!data || data->number == 0)
			continue;
		if (!changed || changed[data->number].change != IMAGE_LATER)
			data->rules = table->rules;
		data->number = 0;
	}
}

void proctable_begin_changes(struct proctable *table)
{
	table->rules++;
}

bool proctable_change_images(struct proctable *table, enum image_change (*change)(void *userdata, struct image *image),
			     void *userdata)
{
	size_t count = number_images(table), next = 0;
	struct changed *changed = calloc(count + 1, sizeof(*changed));
	bool later = false;

	if (!changed)
		hide_numbered(table);
	for (struct version *version = table->first; changed && version; version = version->next) {
		size_t number = version->image_data ? version->image_data->number : 0;
		struct changed *c = &changed[number];

		if (number == 0)
			continue;
		/* Numbers are in the order of the list. */
		if (number > next) {
			next = number;
			c->change = IMAGE_LATER;
			if (!later)
				change_one(table, c, &version->entry.process.image, change, userdata);
			later |= c->change == IMAGE_LATER;
		}
		if (c->change == IMAGE_LATER)
			continue;
		version->entry.process.image = c->image;
		if (c->image_data)
			replace(table, version, c->image_data);
	}
	set_looked_at(table, changed);
	for (size_t i = 1; changed && i <= count; i++)
		image_data_unref(table, changed[i].image_data);
	free(changed);
	return !later;
}
