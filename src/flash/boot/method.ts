/**
 * How one kind of firmware is made to start the rescue and the target.
 *
 * 1. In the first OS: `backup` (durable before anything changes), `arm`, `isArmed`, `disarm`.
 * 2. In the rescue: `guard` is the commit; `retarget` puts the target's boot structures behind
 *    the guard; `trial` lets the target start once.
 * 3. In the target: a shell agent confirms with what `confirmSettings` tells it.
 *
 * Every write is read back. The kinds: bios-first-os.ts with bios-rescue.ts, and uefi.ts.
 */
import type { Target } from '../../unpack/target.ts'

/** What `disarm` needs to make the boot configuration byte-identical; plain JSON, on the store. */
export type ArmBackup = Readonly<Record<string, string | number | boolean | null>>

export interface FirstOsBoot {
  /** What stands there now; changes nothing. */
  backup(): Promise<ArmBackup>
  /** The next boot is the rescue, once. */
  arm(): Promise<void>
  isArmed(): Promise<boolean>
  /** Everything as `backup` saw it; may be called when nothing was armed. */
  disarm(backup: ArmBackup): Promise<void>
}

export interface RescueBoot {
  /** Throws where the guard could not be put in place later; changes nothing. */
  check(): Promise<void>
  /** From now on every boot ends in the rescue; read back. May be called again. */
  guard(): Promise<void>
  hasGuard(): Promise<boolean>
  /** Before the commit: what boots from now on is not the rescue; read back. */
  release(): Promise<void>
  /** What the unpacking writes to, so that the guard stays first. */
  wrapTarget(target: Target): Target
  /** The target's boot structures are on disk, read back; the guard is still first. */
  retarget(): Promise<void>
  /**
   * The next boot is the target, once; read back.
   * @param granting called when all that can fail before was looked at, right before it is granted
   */
  trial(granting?: () => Promise<void>): Promise<void>
  /** For targets without an agent: from now on every boot is the target; read back. */
  confirm(): Promise<void>
  /** Shell variables for the agent's settings file, and files for the target's root. */
  confirmSettings(): Promise<ConfirmSettings>
}

/** One whose guard can be taken back while the first OS is whole. */
export interface ReversibleBoot extends RescueBoot {
  /** What `unguard` needs; changes nothing. `undefined` where a guard stands already. */
  beforeGuard(): Promise<ArmBackup | undefined>
  /** The first OS is what boots again; read back. May be called again. */
  unguard(saved: ArmBackup): Promise<void>
}

export interface ConfirmSettings {
  readonly variables: Readonly<Record<string, string>>
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array }[]
}
