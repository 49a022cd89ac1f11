/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MESSAGE_ID of a journal entry, one for each event type: random once, fixed for ever (sd-id128(3)).
 * systemd/execsnoopd.catalog explains them to people; a unit test compares the two.
 */
#pragma once

#define MESSAGE_ID_STARTED "a0d1a06bb0844c5ba8d3c8ee26759614"
#define MESSAGE_ID_EXITED "fd0c4982606542ae946d8ba43544d482"
#define MESSAGE_ID_ERROR "b08d511cd48b47e085ae7ea19e8a8c88"
#define MESSAGE_ID_FORKED "263564b0a4794518a930029703ff6dfe"
#define MESSAGE_ID_LOST "94f5e55a72b94cf9a5258a652638c809"
#define MESSAGE_ID_MARK "35a3c926101a04fe9d054707308fb04f"
