/**
 * From signals of the system to the one AbortSignal of a run.
 *
 * 1. The first SIGINT, SIGTERM or SIGHUP aborts; stages unwind and clean up.
 * 2. One that follows within two seconds changes nothing: npm and a terminal each send one for
 *    one Ctrl-C.
 * 3. A later one ends the program at once, with status 130.
 *
 * Not promised after 3: that child processes and scratch folders are gone.
 */

import { cancelled, exitStatus } from '../errors.ts'

const ONE_PRESS_MS = 2_000

/** Aborts on the first signal. Keeps listening for as long as the process runs. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  let firstMs: number | undefined
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      firstMs ??= performance.now()
      if (performance.now() - firstMs > ONE_PRESS_MS) process.exit(exitStatus(cancelled()))
      stop.abort()
    })
  }
  return stop.signal
}
