/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/text/shell_words.h"

bool shell_words(struct bytes text, char *to, struct bytes *ret)
{
	bool quoted = false;
	char *at = to;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c == '\'')
			quoted = !quoted;
		else if (c == '\\' && !quoted && i + 1 < text.size)
			*at++ = text.data[++i];
		else
			*at++ = c == ' ' && !quoted ? '\0' : c;
	}
	if (text.size > 0)
		*at++ = '\0';
	*ret = (struct bytes){ to, (size_t)(at - to) };
	return !quoted;
}
