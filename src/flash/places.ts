/**
 * Where everything of a replacement lies: on the store, in the rescue, in the target.
 *
 * 1. The store is the last partition of the stage, plain ext4; it is mounted at `STORE_MOUNT` in
 *    each of the three systems.
 * 2. Names of the store are relative to its root; names of a system are absolute in its root.
 * 3. What is secret: `SECRETS`; it is erased once the target is confirmed.
 */

export const STORE_LABEL = 'osflash-store'
/** Type GUID "Linux file system". */
export const STORE_TYPE_GUID = '0fc63daf-8483-4772-8e79-3d69d8477de4'
export const STORE_MOUNT = '/run/osflash/store'

/** Files and folders of the store. */
export const STORE = {
  /** The packed target. While it is fetched: `target.osimg.part`. */
  image: 'target.osimg',
  /** The session key of the target image: 64 hex digits and a newline; 0600. */
  sessionKey: 'target.session-key',
  /** Certificates whose signatures count. */
  trust: 'trust',
  /** The address of `--notify`; 0600. Erased when the target has told that it is confirmed. */
  notify: 'notify',
  plan: 'plan.json',
  /** The same bytes; made by the rescue, before there is no first OS to go back to. */
  planCopy: 'plan.copy.json',
  /** carry.json and its files; 0700. */
  carry: 'carry',
  /** What disarming needs: written before anything is armed. */
  armBackup: 'arm.json',
  /** Two journal slots. */
  journal: ['journal.0', 'journal.1'],
  /** How far the unpacking of the target is. */
  checkpoint: 'flash.checkpoint',
  /** UEFI: the first page of the target's ESP, while the disk has zeros there. */
  espStart: 'target.esp-start',
  /** An empty file: the rescue made a confirmed target the way to boot again. */
  restored: 'restored',
  /** An empty file: the rescue is about to put the guard in place. */
  intent: 'intent',
  /** What the guard took the place of, as JSON: durable before the guard. */
  guardBackup: 'guard.json',
  /** An empty file, never removed: from here on the first OS is not whole any more. */
  wiping: 'wiping',
  /** An empty file: the operator said GO. */
  go: 'go',
  /** An empty file: the operator said HOLD. */
  hold: 'hold',
  /** The number of the trial that was granted last, and a newline; durable before it is granted. */
  granted: 'granted',
  /** Written by the trial agent: why the target is not confirmed, a line each. */
  trialLog: 'trial.log',
  /** Written by the trial agent when the target proved itself: the plan's digest. */
  confirmed: 'confirmed',
  /** `SEQUENCES` of the first OS, for the target. */
  sequences: 'sequences.json',
  /** Logs of the rescue. */
  logs: 'logs',
} as const

/** What is erased after confirmation. */
export const SECRETS = [STORE.sessionKey, `${STORE.sessionKey}.new`, STORE.carry] as const

/** Absolute paths in the first OS. */
export const FIRST_OS = {
  folder: '/var/lib/osflash',
  /** How far the unpacking of the rescue is; the plan's digest is put behind it. */
  checkpoint: '/var/lib/osflash/stage.checkpoint',
  /** `RunFacts` (systems.ts) as JSON: there while a replacement is under way. */
  run: '/var/lib/osflash/run.json',
  /** `STORE.armBackup` and `STORE.plan` once more, for undoing when the store is damaged. */
  armBackup: '/var/lib/osflash/arm.json',
  plan: '/var/lib/osflash/plan.json',
} as const

/** How far the unpacking of the rescue of one plan is. @param digest of the plan */
export const stageCheckpoint = (digest: string): string =>
  `${FIRST_OS.checkpoint}.${digest.slice(0, 16)}`

/** Absolute paths in the rescue's root. */
export const RESCUE = {
  /** `StageFacts` as JSON. */
  stageFacts: '/etc/osflash/stage.json',
  grubConfig: '/boot/grub/grub.cfg',
  /** The environment block of the stage's GRUB, 1,024 bytes. */
  grubEnvironment: '/boot/grub/osflash.env',
  /** The target's own sector 0, for chainloading; 512 bytes. */
  targetSector0: '/boot/grub/target-sector0.img',
  program: '/opt/osflash/bin/osflash',
} as const

/** Absolute paths in the target's root. */
export const TARGET = {
  agent: '/usr/lib/osflash/trial',
  confirm: '/usr/local/sbin/osflash-confirm',
  /** Runs the stage's program. */
  program: '/usr/local/bin/osflash',
  /** Shell variables for the agent. */
  settings: '/etc/osflash/trial.conf',
  unit: '/etc/systemd/system/osflash-trial.service',
  /** The target's own sector 0, 512 bytes; BIOS only. */
  sector0: '/var/lib/osflash/sector0.img',
} as const

/** The highest sequence of each image name that this host took, as JSON; in every system. */
export const SEQUENCES = '/var/lib/osflash/sequences.json'
