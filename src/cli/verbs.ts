/**
 * The verbs, in the order in which the help lists them.
 *
 * 1. Import the verb from its file.
 * 2. Add it to the list; nothing else has to know it.
 *
 * Not promised: that a verb's modules are loaded lazily; a verb that pulls in much imports its
 * stages inside its action.
 */

import type { Verb } from './verb.ts'

export const verbs: readonly Verb[] = []
