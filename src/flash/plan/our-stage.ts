/**
 * The stage of an earlier run: what makes a disk one, and how a run that was cut is known again.
 *
 * 1. Ours is a disk on which every partition is one that a stage has: boot areas, one root, and
 *    the store with the label and file system that it is given. Nobody has listed or mounted one.
 * 2. The run that this first OS has begun names its store's partition by GUID, so that a stage
 *    without a store's file system yet is known too.
 * 3. What that run has overwritten is gone from the disk, but its plan is still the plan: with
 *    the victims of then it has the digest of then, and staging goes on.
 *
 * Pure. Not promised: that nobody put files into a store. The plan lists it among what is erased.
 */
import type { DiskContent } from '../host/contents.ts'
import { type Disk, hasIdentity } from '../host/disk-identity.ts'
import { STORE_LABEL } from '../places.ts'
import {
  type DiskIdentity,
  type FlashPlan,
  planBytes,
  planDigest,
  uuidFrom,
  type Victim,
} from './plan.ts'

/** Types of partitions that only start a system. */
export const BOOT_TYPES: readonly string[] = [
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', // EFI system partition
  '21686148-6449-6e6f-744e-656564454649', // BIOS boot
  '9e1a2d38-c612-4316-aa26-8b49521e5a8b', // PReP
  '0xef',
]

/** What this first OS remembers of a run that it began (`RunFacts`). */
export interface BegunRun {
  readonly planDigest: string
  readonly victims?: readonly Victim[] | undefined
  /** The disk that it took. */
  readonly stage?: DiskIdentity | undefined
}

/** Whether an earlier staging wrote this disk, and nobody has used it since. */
export function isOurStage(content: DiskContent, begun?: BegunRun): boolean {
  const parts = content.children
  const stores = parts.filter(({ partitionName }) => partitionName === STORE_LABEL)
  const [store] = stores
  if (store === undefined || stores.length > 1 || !parts.every(isUnused)) return false
  if (begun !== undefined && store.partitionUuid === storePartition(begun.planDigest)) return true
  const others = parts.filter((one) => one !== store && !isBootArea(one))
  return isStore(store) && others.length <= 1 && others.every(isRoot)
}

/** Whether that run was cut before the kernel saw the table that it wrote. */
export const isCutStage = (disk: Disk, content: DiskContent, begun?: BegunRun): boolean =>
  begun?.stage !== undefined && content.hidesPartitions && hasIdentity(disk, begun.stage)

/** GUID of the store's partition; the same for the same plan. */
export const storePartition = (digest: string): string => uuidFrom(digest, 'partition')

const OWN_MOUNTS = '/run/osflash/'

const isUnused = ({ children, mountPoints, fstabPoint, isSwap }: DiskContent): boolean =>
  children.length === 0 &&
  fstabPoint === undefined &&
  !isSwap &&
  mountPoints.every((point) => point.startsWith(OWN_MOUNTS))

/** Blank: a cut came before its file system, or `cleanup` was cut. */
const isStore = ({ content, label, isBlank }: DiskContent): boolean =>
  isBlank || (content === 'ext4' && label === STORE_LABEL)

const isBootArea = ({ partitionType }: DiskContent): boolean =>
  BOOT_TYPES.includes(partitionType ?? '')

const ROOT_FILE_SYSTEMS: readonly (string | undefined)[] = ['ext4', 'xfs', 'btrfs']

/** As recipes name it. */
const isRoot = ({ partitionName, content, isBlank }: DiskContent): boolean =>
  partitionName === 'root' && (isBlank || ROOT_FILE_SYSTEMS.includes(content))

/** How a plan lists a whole stage. */
export const victimOfStage = ({ path, bytes }: DiskContent): Victim => ({
  path,
  bytes,
  content: 'an earlier stage of osflash',
})

/**
 * The plan of the run that was begun, when this is the same one; else this plan.
 * @param stage as it is now
 */
export function asBegun(plan: FlashPlan, stage: DiskContent, begun?: BegunRun): FlashPlan {
  if (begun?.victims === undefined) return plan
  // Cut while it was written it holds nothing. Anything else is somebody's work since then.
  if (!isEmpty(stage) && !isOurStage(stage, begun)) return plan
  const earlier = { ...plan, victims: [...begun.victims] }
  return planDigest(planBytes(earlier)) === begun.planDigest ? earlier : plan
}

/** The kernel may not have seen yet what a new table names. */
const isEmpty = ({ content, isBlank, hasTable, children }: DiskContent): boolean =>
  content === undefined && children.length === 0 && (isBlank || hasTable)
