/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Folded, siblings of the same shape (history_set_shapes()) are one line: their number, and the sums of their time and
 * CPU. Below it are the children of all of them, folded again. So a build of a million programs is a page.
 *
 * Rows are collected first, since a column is as wide as its longest text, and the command has the rest of the line;
 * libsmartcols aligns them and draws the lines of the tree.
 */
#include "ctl/view/view_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdlib.h>

#include "ctl/text/event_text.h"
#include "ctl/text/time_spec.h"

#define COMMAND_MIN 20
#define CELL_SIZE 768

enum { COL_COMMAND, COL_PID, COL_USER, COL_STATUS, COL_TOOK, COL_CPU, COL_RSS, COLS };

static const struct {
	const char *title;
	int flags;
} columns[COLS] = {
	[COL_COMMAND] = { "COMMAND", SCOLS_FL_TREE },
	[COL_PID] = { "PID", SCOLS_FL_RIGHT },
	[COL_USER] = { "USER", 0 },
	[COL_STATUS] = { "STATUS", 0 },
	[COL_TOOK] = { "TOOK", SCOLS_FL_RIGHT },
	[COL_CPU] = { "CPU", SCOLS_FL_RIGHT },
	[COL_RSS] = { "RSS", SCOLS_FL_RIGHT },
};

/* Deeper ones are left out, and a line reports it. */
#define DEPTH_MAX 256

/* Fewer siblings with children are not folded. */
#define FOLDED_TREES_MIN 10

/* What is in one line. */
struct fold {
	const struct life *life; /* the first of them */
	size_t count;
	uint64_t running_ns, cpu_ns, rss;
	uint32_t failed;
	bool cut; /* its children are too deep */
};

struct row {
	struct fold fold;
	size_t depth;
};

struct tree {
	const struct tree_options *options;
	const struct terminal *terminal;
	struct row *rows;
	size_t count, size;
	size_t widths[COLS]; /* 0: no row has anything there; the command has one of its own */
	size_t command_width;
	struct libscols_table *table;
	struct libscols_line *lines[DEPTH_MAX + 1]; /* the last one of each depth */
	FILE *fitted;				    /* writes to text */
	char *text;
	size_t text_size;
};

static int add_row(struct tree *tree, const struct row *row)
{
	if (tree->count == tree->size) {
		size_t size = tree->size ? 2 * tree->size : 64;
		struct row *rows = reallocarray(tree->rows, size, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		tree->rows = rows;
		tree->size = size;
	}
	tree->rows[tree->count++] = *row;
	return 0;
}

static int compare_order(const void *a, const void *b)
{
	const struct life *x = *(const struct life *const *)a, *y = *(const struct life *const *)b;

	return (x->order > y->order) - (x->order < y->order);
}

static int compare_shape(const void *a, const void *b)
{
	const struct life *x = *(const struct life *const *)a, *y = *(const struct life *const *)b;

	return x->shape != y->shape ? (x->shape > y->shape) - (x->shape < y->shape) : compare_order(a, b);
}

/* Some of an array, which are one line. */
struct slice {
	const struct life **lives;
	size_t count;
};

static int compare_slice(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return compare_order(x->lives, y->lives);
}

static bool has_children(const struct life *life)
{
	const struct life *child;

	STAILQ_FOREACH(child, &life->children, sibling)
	if (child->shown)
		return true;
	return false;
}

static struct fold fold_of(const struct slice *slice)
{
	struct fold fold = { .life = slice->lives[0], .count = slice->count };

	for (size_t i = 0; i < slice->count; i++) {
		const struct life *life = slice->lives[i];

		fold.failed += life->failed;
		fold.running_ns += life->running_ns;
		fold.cpu_ns += life->cpu_ns;
		if (life->rss > fold.rss)
			fold.rss = life->rss;
	}
	return fold;
}

/* How many of these, from the first one on, are one line. A few with children have a line each, with their commands. */
static size_t count_alike(const struct life **lives, size_t n)
{
	size_t count = 1;

	while (count < n && lives[count]->shape == lives[0]->shape)
		count++;
	return count < FOLDED_TREES_MIN && has_children(lives[0]) ? 1 : count;
}

static int add_children(struct tree *tree, const struct slice *parents, size_t depth);

static int add_slice(struct tree *tree, const struct slice *slice, size_t depth)
{
	struct row row = { .fold = fold_of(slice), .depth = depth };
	int r;

	row.fold.cut = depth == DEPTH_MAX && has_children(row.fold.life);
	r = add_row(tree, &row);
	return r < 0 || depth == DEPTH_MAX ? r : add_children(tree, slice, depth + 1);
}

/* The lines of these, in the order of their first ones. */
static int add_lives(struct tree *tree, const struct life **lives, size_t n, size_t depth)
{
	_cleanup_free_ struct slice *slices = calloc(n + 1, sizeof(*slices));
	size_t count = 0;
	int r = 0;

	if (!slices)
		return -ENOMEM;
	qsort(lives, n, sizeof(*lives), tree->options->fold ? compare_shape : compare_order);
	for (size_t i = 0; i < n; i += slices[count++].count) {
		slices[count].lives = &lives[i];
		slices[count].count = tree->options->fold ? count_alike(&lives[i], n - i) : 1;
	}
	qsort(slices, count, sizeof(*slices), compare_slice);
	for (size_t i = 0; i < count && r == 0; i++)
		r = add_slice(tree, &slices[i], depth);
	return r;
}

static int add_children(struct tree *tree, const struct slice *parents, size_t depth)
{
	_cleanup_free_ const struct life **lives = NULL;
	const struct life *child;
	size_t n = 0;

	for (size_t i = 0; i < parents->count; i++)
		STAILQ_FOREACH(child, &parents->lives[i]->children, sibling)
	n += child->shown;
	if (n == 0)
		return 0;
	lives = calloc(n, sizeof(*lives));
	if (!lives)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < parents->count; i++)
		STAILQ_FOREACH(child, &parents->lives[i]->children, sibling)
	if (child->shown)
		lives[n++] = child;
	return add_lives(tree, lives, n, depth);
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

static void format_command(const struct tree *tree, const struct fold *fold, char *buffer, size_t size)
{
	const struct life *life = fold->life;
	struct text text;

	text_begin(&text, buffer, size);
	if (fold->count > 1)
		text_printf(&text, "%s %s%zu", life->comm, tree->terminal->utf8 ? "×" : "x", fold->count);
	else
		text_string(&text, *life->command ? life->command : "?");
	if (fold->failed > !life->seen)
		text_printf(&text, " (+%" PRIu32 " failed)", fold->failed);
	if (fold->cut)
		text_string(&text, ", and more below, too deep to be shown");
}

static void format_cell(const struct tree *tree, const struct fold *fold, int column, char *buffer, size_t size)
{
	const struct life *life = fold->life;
	struct text text;

	text_begin(&text, buffer, size);
	if (column == COL_PID && fold->count == 1 && life->pid > 0)
		text_printf(&text, "%" PRIu32, life->pid);
	else if (column == COL_USER && life->seen)
		text_user(&text, life->uid, tree->options->numeric);
	else if (column == COL_STATUS)
		text_string(&text, life->status);
	else if (column == COL_TOOK && life->ended)
		time_span_format(buffer, size, fold->running_ns);
	else if (column == COL_CPU && life->ended)
		time_span_format(buffer, size, fold->cpu_ns);
	else if (column == COL_RSS && fold->rss > 0)
		size_format(buffer, size, fold->rss);
}

static void raise_to(size_t *width, size_t to)
{
	if (*width < to)
		*width = to;
}

/* Of the columns after the command, with the blanks before them: as many as leave room for the command. */
static size_t choose_columns(struct tree *tree)
{
	static const int dispensable[] = { COL_RSS, COL_CPU, COL_TOOK, COL_USER, COL_STATUS, COL_PID };
	size_t others = 0;

	for (int column = COL_PID; column < COLS; column++) {
		if (tree->widths[column] == 0)
			continue;
		raise_to(&tree->widths[column], strlen(columns[column].title));
		others += tree->widths[column] + 1;
	}
	for (size_t i = 0; i < sizeof(dispensable) / sizeof(dispensable[0]); i++) {
		size_t *width = &tree->widths[dispensable[i]];

		if (tree->terminal->width == 0 || others + COMMAND_MIN <= tree->terminal->width)
			break;
		others -= *width > 0 ? *width + 1 : 0;
		*width = 0;
	}
	return others;
}

static void measure(struct tree *tree)
{
	const struct terminal *terminal = tree->terminal;
	size_t others;
	char cell[CELL_SIZE];

	tree->command_width = strlen("COMMAND");
	for (size_t i = 0; i < tree->count; i++) {
		const struct row *row = &tree->rows[i];

		format_command(tree, &row->fold, cell, sizeof(cell));
		raise_to(&tree->command_width, 2 * row->depth + terminal_columns(terminal, cell));
		for (int column = COL_PID; column < COLS; column++) {
			format_cell(tree, &row->fold, column, cell, sizeof(cell));
			raise_to(&tree->widths[column], terminal_columns(terminal, cell));
		}
	}
	others = choose_columns(tree);
	if (terminal->width > 0 && tree->command_width + others > terminal->width)
		tree->command_width = terminal->width > others + COMMAND_MIN ? terminal->width - others : COMMAND_MIN;
}

/* The text of a cell as the terminal gets it, cut to `width` columns; valid until the next call. NULL: no memory. */
static const char *fit(struct tree *tree, const char *cell, size_t width)
{
	struct terminal to_memory = *tree->terminal;

	to_memory.out = tree->fitted;
	rewind(tree->fitted);
	terminal_put(&to_memory, cell, width);
	fputc('\0', tree->fitted);
	return fflush(tree->fitted) == 0 ? tree->text : NULL;
}

static int set_cell(struct tree *tree, struct libscols_line *line, int column, const char *cell, size_t width)
{
	const char *text = fit(tree, cell, width);

	return text ? scols_line_set_data(line, (size_t)column, text) : -ENOMEM;
}

/* The library draws two columns of lines for each ancestor. Deeper rows than have a place are drawn as siblings. */
static size_t drawn_depth(const struct tree *tree, const struct row *row)
{
	size_t places = (tree->command_width - 1) / 2;

	return row->depth < places ? row->depth : places;
}

static int fill_line(struct tree *tree, struct libscols_line *line, const struct row *row)
{
	char cell[CELL_SIZE];
	int r;

	format_command(tree, &row->fold, cell, sizeof(cell));
	r = set_cell(tree, line, COL_COMMAND, cell, tree->command_width - 2 * drawn_depth(tree, row));
	for (int column = COL_PID; column < COLS && r == 0; column++) {
		format_cell(tree, &row->fold, column, cell, sizeof(cell));
		if (cell[0] && tree->widths[column] > 0)
			r = set_cell(tree, line, column, cell, tree->widths[column]);
	}
	return r == 0 && row->fold.life->has_failed ? scols_line_set_color(line, "red") : r;
}

/* Rows come depth first. */
static int add_line(struct tree *tree, const struct row *row)
{
	size_t depth = drawn_depth(tree, row);
	struct libscols_line *line = scols_table_new_line(tree->table, depth > 0 ? tree->lines[depth - 1] : NULL);

	tree->lines[depth] = line;
	return line ? fill_line(tree, line, row) : -ENOMEM;
}

static int add_columns(struct tree *tree)
{
	for (int i = 0; i < COLS; i++) {
		struct libscols_column *column =
			scols_table_new_column(tree->table, columns[i].title, 1, columns[i].flags);

		if (!column)
			return -ENOMEM;
		if (i != COL_COMMAND && tree->widths[i] == 0)
			scols_column_set_flags(column, columns[i].flags | SCOLS_FL_HIDDEN);
		scols_cell_set_color(scols_column_get_header(column), "bold");
	}
	return 0;
}

/*
 * The cells have their widths already, and are safe: the library is to change nothing. It measures what it changes by
 * another rule than what it prints, and it has no mark for text that was cut. Text must be valid in the locale: at a
 * byte that is not, mbs_nwidth() of util-linux 2.38 can loop for ever.
 */
static int fill_table(struct tree *tree)
{
	int r = add_columns(tree);

	scols_table_enable_noencoding(tree->table, 1);
	scols_table_enable_noheadings(tree->table, !tree->options->legend);
	scols_table_enable_colors(tree->table, tree->terminal->colors);
	scols_table_enable_ascii(tree->table, !tree->terminal->utf8);
	scols_table_set_termforce(tree->table, SCOLS_TERMFORCE_NEVER);
	scols_table_set_stream(tree->table, tree->terminal->out);
	for (size_t i = 0; i < tree->count && r == 0; i++)
		r = add_line(tree, &tree->rows[i]);
	return r;
}

/* Errors of writing are found when the terminal is closed. */
static int put_rows(struct tree *tree)
{
	int r = -ENOMEM;

	measure(tree);
	tree->table = scols_new_table();
	tree->fitted = open_memstream(&tree->text, &tree->text_size);
	if (tree->table && tree->fitted)
		r = fill_table(tree);
	if (r == 0)
		r = scols_print_table(tree->table);
	if (tree->fitted)
		fclose(tree->fitted);
	free(tree->text);
	scols_unref_table(tree->table);
	return r < 0 ? r : 1;
}

static int add_roots(struct tree *tree, const struct history *history)
{
	_cleanup_free_ const struct life **roots = calloc(history_count(history) + 1, sizeof(*roots));
	size_t n = 0;

	if (!roots)
		return -ENOMEM;
	for (const struct life *life = history_first(history); life; life = STAILQ_NEXT(life, in_order))
		if (life->shown && is_root(tree, life))
			roots[n++] = life;
	return add_lives(tree, roots, n, 0);
}

int view_tree(const struct terminal *terminal, const struct history *history, const struct tree_options *options)
{
	struct tree tree = { .options = options, .terminal = terminal };
	int r = add_roots(&tree, history);

	if (r == 0 && tree.count > 0)
		r = put_rows(&tree);
	free(tree.rows);
	return r;
}
