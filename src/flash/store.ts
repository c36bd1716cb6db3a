/**
 * The store: the ext4 partition on the stage that each of the three systems mounts.
 *
 * 1. `makeStore` makes it, with every feature named, so that an old kernel can mount it whatever
 *    the host's mke2fs.conf says. No block is left to be initialised later.
 * 2. `mountStore` finds it by UUID (store-device.ts). Where it is mounted already, that mount is
 *    used, and stays. Whoever only reads gets a mount of their own, so that a short look and a
 *    run never take each other's mount away.
 * 3. Leaving the block unmounts what was mounted here; that flushes the file system. Where somebody
 *    keeps a file open it is flushed all the same, and stays mounted as it is (read-only would be
 *    so for every mount of it): who looks at a log keeps no host from its reboot. Whoever needs
 *    the disk free looks himself (`lookAtTarget`), and takes away first what stayed
 *    (`unmountLeft`).
 * 4. `readPlan` gives the plan that the journal pinned, from either of its files, or none.
 *
 * Not promised: unmounting after SIGKILL.
 */
import { mkdir, mkdtemp, readFile, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ioError, messageOf, OsflashError } from '../errors.ts'
import type { Emit } from '../events.ts'
import { type Argv, run } from '../system/run.ts'
import { openJournal } from './journal.ts'
import { STORE, STORE_MOUNT } from './places.ts'
import { type FlashPlan, flashPlanSchema, planDigest, shownNotify } from './plan/plan.ts'
import { findStoreDevice, readMounts } from './store-device.ts'
import { SHAPE } from './store-shape.ts'

const BUSY_MS_MAX = 30_000
/** A udev rule is done sooner; a person stays. */
const LEAVING_MS_MAX = 3_000
const BUSY_STEP_MS = 100
/** `mount` and `umount`: it failed; "busy" is among the reasons. */
const MOUNT_FAILED = 32
/** With `-o rw` mount(8) would take a mount that others have for reading, and be content. */
type Mode = '-r' | '-w'
const OPTIONS = 'noatime,nodev,nosuid,noexec'
/** Linux 4.18 mounts all of them for writing, GRUB and old e2fsprogs know them too. */
const FEATURES =
  'none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,' +
  'huge_file,dir_nlink,extra_isize,metadata_csum'

export interface MountStoreOptions {
  /** UUID of the file system, lower case. */
  readonly uuid: string
  /** Default: false. */
  readonly readOnly?: boolean
  /** Default: `STORE_MOUNT`, and a folder of this process for who only reads. */
  readonly at?: string
  /** Told when it stays mounted, which is no failure. */
  readonly emit?: Emit
  /** How long somebody else's look is waited for, ms; other than the default only in tests. */
  readonly busyMsMax?: number
}

export interface Store extends AsyncDisposable {
  /** Its root. */
  readonly path: string
  /** The block device. */
  readonly device: string
}

/**
 * Mounts the store, or uses the mount that is there; `await using` unmounts only what it mounted.
 * @throws OsflashError `refused` (no such device, several, another mount is in the way), `process`
 */
export async function mountStore(options: MountStoreOptions): Promise<Store> {
  const { uuid, at = STORE_MOUNT, readOnly = false, emit, busyMsMax } = options
  const { path: device, mounts } = await findStoreDevice(uuid)
  if (readOnly && options.at === undefined) return mountAside(device)
  const there = mounts.find(({ place }) => place === at)
  if (there === undefined) return mountAt(device, { at, readOnly, emit, busyMsMax })
  if (there.readOnly && !readOnly) await run(['mount', '-o', 'remount,rw', at])
  return { path: at, device, [Symbol.asyncDispose]: async () => {} }
}

async function mountAside(device: string): Promise<Store> {
  const at = await makeFolder(dirname(STORE_MOUNT), () => mkdtemp(`${STORE_MOUNT}-`))
  try {
    const store = await mountAt(device, { at, readOnly: true })
    return {
      ...store,
      [Symbol.asyncDispose]: async () => {
        await store[Symbol.asyncDispose]()
        await rmdir(at).catch(() => undefined)
      },
    }
  } catch (error) {
    await rmdir(at).catch(() => undefined)
    throw error
  }
}

interface Place extends Pick<MountStoreOptions, 'readOnly'> {
  readonly at: string
  readonly emit?: Emit | undefined
  readonly busyMsMax?: number | undefined
}

async function mountAt(device: string, place: Place): Promise<Store> {
  const { at, readOnly, emit, busyMsMax } = place
  if ((await readMounts()).some((mount) => mount.place === at)) {
    throw new OsflashError('refused', `mounting the store at ${at}: something is mounted there`, {
      hints: [`umount ${at}`],
    })
  }
  await makeFolder(at, async () => at)
  const mount = (mode: Mode): Argv => ['mount', mode, '-t', 'ext4', '-o', OPTIONS, device, at]
  // What is mounted for writing elsewhere can only be mounted so again.
  const modes = readOnly ? (['-r', '-w'] as const) : (['-w'] as const)
  await untilFree(`mounting ${device}`, modes.map(mount), busyMsMax)
  return { path: at, device, [Symbol.asyncDispose]: () => leave(at, emit) }
}

/** What holds it open ends with the system at the latest; a failure here would keep it running. */
async function leave(at: string, emit: Emit | undefined): Promise<void> {
  try {
    await untilFree(`unmounting ${at}`, [['umount', at]], LEAVING_MS_MAX)
  } catch (error) {
    const flush = () => run(['sync', '-f', at]).then(() => 'it is flushed', messageOf)
    const flushed = await flush()
    emit?.({ event: 'note', text: `${messageOf(error)}; ${flushed}, and stays` })
    // A log on the store has that line too.
    await flush()
  }
}

/**
 * Takes away what an earlier run left mounted, killed or because a file was open: as a mount that
 * "is there" nobody would, and the disk would be in use for ever. Call with the lock of the
 * replacement, before the disk is needed free; who still has a file of it open keeps it.
 */
export async function unmountLeft(at = STORE_MOUNT): Promise<void> {
  const statuses = [0, 1, MOUNT_FAILED]
  await run(['umount', '-q', at], { statuses })
  // In a target osflash has mounts of its own (trial/system-files.ts): that was a copy of what an
  // operator mounted. Where it cannot be taken away the disk is in use, and its user hears so.
  const outside = ['nsenter', '--mount=/proc/1/ns/mnt', 'umount', '-q', at] as const
  await run(outside, { statuses }).catch(() => undefined)
}

async function makeFolder(path: string, then: () => Promise<string>): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    return await then()
  } catch (cause) {
    throw ioError(`making a folder in ${path}`, cause)
  }
}

/** Whether an error of `mountStore` means that no device has the store. */
export const isStoreMissing = (error: unknown): boolean =>
  error instanceof OsflashError && error.data.found === 0

/** No device has the store, or it cannot be mounted; one that is only in use is not lost. */
export const isStoreLost = (error: unknown): boolean =>
  isStoreMissing(error) ||
  (error instanceof OsflashError && error.code === 'process' && error.data.busy !== true)

/** A short look of another osflash, or a udev rule, is waited for. */
async function untilFree(
  doing: string,
  attempts: readonly Argv[],
  busyMsMax = BUSY_MS_MAX,
): Promise<void> {
  for (let waited = 0; ; waited += BUSY_STEP_MS) {
    let said = ''
    for (const argv of attempts) {
      const { status, stderrTail } = await run(argv, { statuses: [0, MOUNT_FAILED] })
      if (status === 0) return
      said = stderrTail.trim()
    }
    const busy = /busy|already mounted/.test(said)
    if (waited >= busyMsMax || !busy) {
      throw new OsflashError('process', `${doing}: ${said}`, {
        data: { busy },
        hints: ['fuser -vm shows who uses it', 'run as root'],
      })
    }
    await sleep(BUSY_STEP_MS)
  }
}

/**
 * Makes an empty store; all that was on the device is lost. Nothing is discarded.
 * @throws OsflashError `missing-tool`, `process`
 */
export async function makeStore({ device, uuid, label }: NewStore): Promise<void> {
  const extended = 'lazy_itable_init=0,lazy_journal_init=0,nodiscard'
  const names = ['-L', label, '-U', uuid]
  const shape = ['-m', '0', ...SHAPE, '-O', FEATURES, '-E', extended]
  await run(['mkfs.ext4', '-q', '-F', ...names, ...shape, device])
}

export interface NewStore {
  readonly device: string
  /** Lower case, with hyphens. */
  readonly uuid: string
  readonly label: string
}

/**
 * The plan on the store, which the journal pinned; from its copy where the first is damaged.
 * @param digest what pins it where the journal cannot be read; SHA-256, lower-case hex
 * @throws OsflashError `digest` when both are others, `format`, `io`
 */
export async function readPlan(storePath: string, digest?: string): Promise<FlashPlan> {
  const path = join(storePath, STORE.plan)
  const pinned = digest ?? (await openJournal(storePath, { system: 'rescue' })).current?.planDigest
  const plan = await readPlanFile(path, pinned).catch((error: unknown) =>
    readPlanFile(join(storePath, STORE.planCopy), pinned).catch(() => {
      throw error
    }),
  )
  return withAddress(storePath, plan)
}

/** With the whole address of `--notify`, unless that was erased, or half of it. */
async function withAddress(storePath: string, plan: FlashPlan): Promise<FlashPlan> {
  if (plan.notify === undefined) return plan
  const notify = await readFile(join(storePath, STORE.notify), 'utf8').catch(() => '')
  return shownNotify(notify) === plan.notify ? { ...plan, notify } : plan
}

/**
 * A file of the plan with the digest `pinned`.
 * @throws OsflashError `digest` when it is another one, `format`, `io`
 */
export async function readPlanFile(path: string, pinned: string | undefined): Promise<FlashPlan> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw ioError(`reading ${path}`, cause)
  })
  if (planDigest(bytes) !== pinned) {
    throw new OsflashError('digest', `reading ${path}: it is not the plan that was pinned`, {
      hints: ['osflash abort, then osflash apply again'],
    })
  }
  try {
    return flashPlanSchema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw new OsflashError('format', `reading ${path}: it is no plan of this osflash`, {
      cause,
      hints: ['use the osflash that made it'],
    })
  }
}
