/** Which programs this machine has, for tests that need another implementation. */
import { type Argv, run } from '../../src/system/run.ts'

/** True when the program is there and takes these arguments. */
export function answers(argv: Argv): Promise<boolean> {
  return run(argv).then(
    () => true,
    () => false,
  )
}
