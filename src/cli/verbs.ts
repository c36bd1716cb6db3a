/**
 * The verbs, in the order in which the help lists them.
 *
 * 1. Import the verb from its file.
 * 2. Add it to the list; nothing else has to know it.
 *
 * Not promised: that a verb's modules are loaded lazily; a verb that pulls in much imports its
 * stages inside its action.
 */

import { verb as abort } from './abort.ts'
import { verb as apply } from './apply.ts'
import { verb as bench } from './bench.ts'
import { verb as build } from './build.ts'
import { verb as cleanup } from './cleanup.ts'
import { verb as confirm } from './confirm.ts'
import { verb as go } from './go.ts'
import { verb as hold } from './hold.ts'
import { verb as inspect } from './inspect.ts'
import { verb as keygen } from './keygen.ts'
import { verb as pack } from './pack.ts'
import { verb as plan } from './plan.ts'
import { verb as resume } from './resume.ts'
import { verb as rewrap } from './rewrap.ts'
import { verb as status } from './status.ts'
import { verb as unpack } from './unpack.ts'
import type { Verb } from './verb.ts'
import { verb as verify } from './verify.ts'

const images: readonly Verb[] = [keygen, build, pack, rewrap, inspect, verify, unpack, bench]
const replacement: readonly Verb[] = [
  plan,
  apply,
  status,
  go,
  hold,
  abort,
  resume,
  confirm,
  cleanup,
]

export const verbs: readonly Verb[] = [...images, ...replacement]
