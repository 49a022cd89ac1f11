/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Folded, siblings without children of their own that run the same program are one line: their number, and the sums of
 * their time and CPU. Those that failed are not folded with those that did not.
 */
#include "ctl/view/view_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>

#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"

enum { COL_COMMAND, COL_PID, COL_USER, COL_STATUS, COL_TOOK, COL_CPU, COL_RSS, COLS };

struct fold {
	const struct life *life; /* the first of them */
	size_t count;
	uint64_t running_ns, cpu_ns, rss;
};

struct tree {
	const struct tree_options *options;
	struct libscols_table *table;
	bool utf8, any;
	bool filled[COLS]; /* a line has text there */
};

static bool is_leaf(const struct life *life)
{
	const struct life *child;

	STAILQ_FOREACH(child, &life->children, sibling)
	if (child->shown)
		return false;
	return true;
}

/* It has a line of its own. */
static bool is_single(const struct life *life)
{
	return !is_leaf(life) || !life->seen;
}

static bool is_same(const struct life *a, const struct life *b)
{
	return !is_single(a) && !is_single(b) && a->ended == b->ended && a->uid == b->uid &&
	       strcmp(a->comm, b->comm) == 0 && strcmp(a->status, b->status) == 0;
}

static int set_cell(struct tree *tree, struct libscols_line *line, int column, const char *data)
{
	tree->filled[column] |= *data != '\0';
	return scols_line_set_data(line, (size_t)column, data);
}

static int set_costs(struct tree *tree, struct libscols_line *line, const struct fold *fold)
{
	char buffer[32];
	int r;

	if (!fold->life->ended)
		return 0;
	time_span_format(buffer, sizeof(buffer), fold->running_ns);
	r = set_cell(tree, line, COL_TOOK, buffer);
	if (r < 0)
		return r;
	time_span_format(buffer, sizeof(buffer), fold->cpu_ns);
	r = set_cell(tree, line, COL_CPU, buffer);
	if (r < 0 || fold->rss == 0)
		return r;
	size_format(buffer, sizeof(buffer), fold->rss);
	return set_cell(tree, line, COL_RSS, buffer);
}

static int set_cells(struct tree *tree, struct libscols_line *line, const struct fold *fold)
{
	const struct life *life = fold->life;
	char buffer[768];
	struct text text;
	int r;

	text_begin(&text, buffer, sizeof(buffer));
	if (fold->count > 1)
		text_printf(&text, "%s %s%zu", life->comm, tree->utf8 ? "×" : "x", fold->count);
	else
		text_string(&text, *life->command ? life->command : "?");
	if (life->failed > !life->seen)
		text_printf(&text, " (+%" PRIu32 " failed)", life->failed);
	r = set_cell(tree, line, COL_COMMAND, buffer);
	snprintf(buffer, sizeof(buffer), "%" PRIu32, life->pid);
	if (r == 0 && fold->count == 1 && life->pid > 0)
		r = set_cell(tree, line, COL_PID, buffer);
	text_begin(&text, buffer, sizeof(buffer));
	text_user(&text, life->uid, tree->options->numeric);
	if (r == 0 && life->seen)
		r = set_cell(tree, line, COL_USER, buffer);
	if (r == 0)
		r = set_cell(tree, line, COL_STATUS, life->status);
	if (r == 0)
		r = set_costs(tree, line, fold);
	if (r == 0 && life->has_failed)
		r = scols_line_set_color(line, "red");
	return r;
}

static int add_line(struct tree *tree, struct libscols_line *parent, const struct fold *fold,
		    struct libscols_line **ret)
{
	*ret = scols_table_new_line(tree->table, parent);
	if (!*ret)
		return -ENOMEM;
	tree->any = true;
	return set_cells(tree, *ret, fold);
}

static int compare(const void *a, const void *b)
{
	const struct life *x = *(const struct life *const *)a, *y = *(const struct life *const *)b;
	int r = is_single(x) - is_single(y);

	if (r == 0)
		r = strcmp(x->comm, y->comm);
	if (r == 0)
		r = strcmp(x->status, y->status);
	if (r == 0)
		r = (x->uid > y->uid) - (x->uid < y->uid);
	if (r == 0)
		r = x->ended - y->ended;
	if (r == 0)
		r = (x->order > y->order) - (x->order < y->order);
	return r;
}

static int compare_order(const void *a, const void *b)
{
	const struct life *x = ((const struct fold *)a)->life, *y = ((const struct fold *)b)->life;

	return (x->order > y->order) - (x->order < y->order);
}

static void fold_add(struct fold *fold, const struct life *life)
{
	fold->count++;
	fold->running_ns += life->running_ns;
	fold->cpu_ns += life->cpu_ns;
	if (life->rss > fold->rss)
		fold->rss = life->rss;
}

/* The lines of a parent's children, in the order of their first ones. free(3) *ret. */
static int fold_children(const struct tree *tree, const struct life *parent, struct fold **ret, size_t *ret_count)
{
	_cleanup_free_ const struct life **lives = NULL;
	_cleanup_free_ struct fold *folds = NULL;
	const struct life *child;
	size_t n = 0, count = 0;

	STAILQ_FOREACH(child, &parent->children, sibling)
	n += child->shown;
	lives = calloc(n + 1, sizeof(*lives));
	folds = calloc(n + 1, sizeof(*folds));
	if (!lives || !folds)
		return -ENOMEM;
	n = 0;
	STAILQ_FOREACH(child, &parent->children, sibling)
	if (child->shown)
		lives[n++] = child;
	if (tree->options->fold)
		qsort(lives, n, sizeof(*lives), compare);
	for (size_t i = 0; i < n; i++) {
		if (i == 0 || !tree->options->fold || !is_same(lives[i - 1], lives[i]))
			folds[count++].life = lives[i];
		fold_add(&folds[count - 1], lives[i]);
	}
	qsort(folds, count, sizeof(*folds), compare_order);
	*ret = TAKE_PTR(folds);
	*ret_count = count;
	return 0;
}

static int add_children(struct tree *tree, struct libscols_line *line, const struct life *parent);

static int add_life(struct tree *tree, struct libscols_line *parent, const struct fold *fold)
{
	struct libscols_line *line;
	int r = add_line(tree, parent, fold, &line);

	return r < 0 ? r : add_children(tree, line, fold->life);
}

static int add_children(struct tree *tree, struct libscols_line *line, const struct life *parent)
{
	_cleanup_free_ struct fold *folds = NULL;
	size_t count;
	int r = fold_children(tree, parent, &folds, &count);

	for (size_t i = 0; i < count && r == 0; i++)
		r = add_life(tree, line, &folds[i]);
	return r;
}

static bool is_root(const struct tree *tree, const struct life *life)
{
	const struct tree_options *options = tree->options;

	if (options->pid > 0)
		return life->pid == options->pid && life->seen;
	if (options->unit)
		return strcmp(life->unit, options->unit) == 0 &&
		       (!life->parent || strcmp(life->parent->unit, options->unit) != 0);
	/* A process that is only named has something to show if it has children. */
	return !life->parent;
}

/* What runs has no status and has used nothing that is known: a column without any text is left out. */
static int hide_empty(struct tree *tree)
{
	int r = 0;

	for (int i = COL_STATUS; i < COLS && r == 0; i++) {
		struct libscols_column *column = scols_table_get_column(tree->table, (size_t)i);

		if (!tree->filled[i])
			r = scols_column_set_flags(column, scols_column_get_flags(column) | SCOLS_FL_HIDDEN);
	}
	return r;
}

static int make_table(struct tree *tree, const struct terminal *terminal)
{
	static const struct {
		const char *name;
		double width;
		int flags;
	} columns[COLS] = {
		[COL_COMMAND] = { "COMMAND", 0.5, SCOLS_FL_TREE | SCOLS_FL_TRUNC },
		[COL_PID] = { "PID", 7, SCOLS_FL_RIGHT },
		[COL_USER] = { "USER", 8, 0 },
		[COL_STATUS] = { "STATUS", 6, 0 },
		[COL_TOOK] = { "TOOK", 5, SCOLS_FL_RIGHT },
		[COL_CPU] = { "CPU", 5, SCOLS_FL_RIGHT },
		[COL_RSS] = { "RSS", 4, SCOLS_FL_RIGHT },
	};
	int flags;

	struct libscols_column *column;

	for (int i = 0; i < COLS; i++) {
		flags = columns[i].flags;
		if (terminal->width == 0)
			flags &= ~SCOLS_FL_TRUNC;
		column = scols_table_new_column(tree->table, columns[i].name, columns[i].width, flags);
		if (!column)
			return -ENOMEM;
		/* The text is harmless already; a backslash is one of ours. */
		scols_column_set_safechars(column, "\\");
	}
	scols_table_enable_noheadings(tree->table, !tree->options->legend);
	scols_table_enable_colors(tree->table, terminal->colors);
	scols_table_enable_ascii(tree->table, !terminal->utf8);
	scols_table_set_termforce(tree->table, terminal->width > 0 ? SCOLS_TERMFORCE_ALWAYS : SCOLS_TERMFORCE_NEVER);
	if (terminal->width > 0)
		scols_table_set_termwidth(tree->table, terminal->width);
	return scols_table_set_stream(tree->table, terminal->out);
}

int view_tree(const struct terminal *terminal, const struct history *history, const struct tree_options *options)
{
	struct tree tree = { .options = options, .table = scols_new_table(), .utf8 = terminal->utf8 };
	int r;

	if (!tree.table)
		return -ENOMEM;
	r = make_table(&tree, terminal);
	for (const struct life *life = history_first(history); life && r == 0; life = STAILQ_NEXT(life, in_order)) {
		struct fold fold = { .life = life };

		fold_add(&fold, life);
		if (life->shown && is_root(&tree, life))
			r = add_life(&tree, NULL, &fold);
	}
	if (r == 0)
		r = hide_empty(&tree);
	if (r == 0 && tree.any)
		r = scols_print_table(tree.table);
	scols_unref_table(tree.table);
	return r < 0 ? r : tree.any;
}
