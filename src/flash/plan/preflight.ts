/**
 * Preflight: every check, every refusal, and the plan. Nothing is changed.
 *
 * 1. Both images are what they claim, and this host may open them.
 * 2. Nobody else is at it; this is a host, with no run under way; the images are for it.
 * 3. The disks: exactly one each, the right way round, nothing lost that was not named, room.
 * 4. The boot loader or the firmware can be told; the carry can be captured and rendered;
 *    somebody can log in; a watchdog, or the word that none is needed.
 * 5. The plan, the same for the same host and images.
 *
 * Whoever applies goes on with what it returns: sources stay open, the lock is held.
 */
import type { Source } from '../../deliver/source.ts'
import type { SecretKey } from '../../encrypt/keys.ts'
import { decryptSessionKey } from '../../encrypt/session-key.ts'
import { OsflashError, throwIfCancelled } from '../../errors.ts'
import { type Emit, inPhase } from '../../events.ts'
import type { Manifest } from '../../format/manifest.ts'
import { describeBlockDevice } from '../../system/block-device.ts'
import type { CheckSignatures } from '../../unpack/image.ts'
import { checkFirmware, checkNotStartedFrom } from '../boot/firmware-check.ts'
import { canRender, renderable } from '../carry/apply.ts'
import { type CapturedCarry, captureCarry } from '../carry/capture.ts'
import { type DiskContent, readContents } from '../host/contents.ts'
import { type Disk, identityOf, pickDisk } from '../host/disk-identity.ts'
import { listDisks } from '../host/disks.ts'
import { type HostFacts, readHost } from '../host/host.ts'
import { driversOf } from '../host/modules.ts'
import { SEQUENCES } from '../places.ts'
import { readSequences } from '../trial/sequences.ts'
import {
  armOf,
  checkGrub,
  checkStartsGrub,
  checkStartsNothing,
  readGrub,
  readStartSector,
} from './check-boot.ts'
import {
  checkBootable,
  checkDiskData,
  checkPair,
  checkRoot,
  checkStageData,
  checkStageFree,
  victimsOf,
} from './check-disks.ts'
import { checkHost, checkLogin, checkReachable, checkWatchdog } from './check-host.ts'
import {
  checkApart,
  checkFresh,
  checkHostFits,
  checkSequence,
  checkStageFits,
  checkTargetFits,
  type ImageRole,
} from './check-images.ts'
import { checkTools } from './check-tools.ts'
import { type EstimateImage, estimate } from './estimate.ts'
import { asBegun, type BegunRun, isCutStage, isOurStage } from './our-stage.ts'
import type { DiskIdentity, FlashPlan } from './plan.ts'
import { namingImage, openPlanImage, type PlanImage } from './plan-image.ts'
import { risksOf } from './risks.ts'
import { begunRun, checkNoRun, holdReplacement } from './run-state.ts'

export interface PlanInput {
  /** Path or address of the image. */
  readonly rescue: string
  readonly target: string
  /** Serial number, WWN, or a name in /dev/disk/by-id. */
  readonly disk: string
  readonly stage: string
  readonly check: CheckSignatures
  readonly identities: readonly SecretKey[]
  readonly go: FlashPlan['go']
  readonly confirm: FlashPlan['confirm']
  /** What others left on the disks may be erased. */
  readonly wipeData: boolean
  readonly acceptNoWatchdog: boolean
  /** Address that is told of each state. */
  readonly notify?: string
  readonly emit: Emit
  readonly signal?: AbortSignal
}

/** A plan, and what applying it needs. Disposing closes the images and gives the lock back. */
export interface Preflight extends AsyncDisposable {
  readonly plan: FlashPlan
  readonly rescue: ReadyImage
  readonly target: ReadyImage
  readonly carry: CapturedCarry
}

export interface ReadyImage {
  readonly source: Source
  readonly manifest: Manifest
  /** 32 octets. */
  readonly sessionKey: Uint8Array
}

/**
 * Checks everything and makes the plan; the caller disposes of it.
 * @throws OsflashError `refused`; `trust`, `signature`, `decryption`; what reading throws
 */
export async function makePlan(input: PlanInput): Promise<Preflight> {
  const { emit } = input
  await using kept = new AsyncDisposableStack()
  const images = await inPhase(emit, 'checking the images', () => openImages(input, kept))
  kept.use(await holdReplacement())
  const host = await inPhase(emit, 'checking the host', () => readCheckedHost(images, input.signal))
  const disks = await inPhase(emit, 'checking the disks', () => readDisks(input, images, host))
  throwIfCancelled(input.signal)
  const grub = host.firmware === 'bios' ? await readGrub(host) : undefined
  if (host.firmware === 'bios') {
    checkGrub(grub, disks.disk, disks.begun !== undefined)
    checkStartsGrub(await readStartSector(disks.disk))
    checkStartsNothing(await readStartSector(disks.stage), disks.isOurs)
  } else {
    await checkFirmware()
    await checkNotStartedFrom(disks.stage.path)
  }
  const carry = await inPhase(emit, 'capturing the carry', () => readCarryOf(input))
  checkWatchdog(host, input.acceptNoWatchdog)
  const arm = armOf(host.firmware, grub)
  const kernelModules = await modulesOf({ host, disks, carry })
  const plan = planOf({ input, images, host, disks, carry, arm, kernelModules })
  const ready = kept.move()
  return {
    plan,
    rescue: images.rescue.ready,
    target: images.target.ready,
    carry,
    [Symbol.asyncDispose]: () => ready.disposeAsync(),
  }
}

interface CheckedImage {
  readonly opened: PlanImage
  readonly ready: ReadyImage
}

interface Images {
  readonly rescue: CheckedImage
  readonly target: CheckedImage
}

async function openImages(input: PlanInput, kept: AsyncDisposableStack): Promise<Images> {
  const { check, signal, identities } = input
  const rescue = kept.use(
    await openPlanImage({ role: 'rescue', location: input.rescue, check, signal }),
  )
  const target = kept.use(
    await openPlanImage({ role: 'target', location: input.target, check, signal }),
  )
  const manifests = [rescue, target].map(({ image }) => image.manifest)
  checkFresh(manifests, Date.now())
  const taken = await readSequences(SEQUENCES)
  for (const manifest of manifests) checkSequence(manifest, taken)
  for (const { facts } of [rescue, target]) checkRenderer(facts)
  const ready = (role: ImageRole, opened: PlanImage) =>
    namingImage({ role, location: input[role] }, () => readyImage(opened, identities))
  return {
    rescue: { opened: rescue, ready: await ready('rescue', rescue) },
    target: { opened: target, ready: await ready('target', target) },
  }
}

/** @throws OsflashError `refused` */
function checkRenderer({ name, network }: FlashPlan['target']): void {
  if (network !== undefined && canRender(network)) return
  const why =
    network === undefined ? 'it does not name its network service' : `no way to ${network}`
  throw new OsflashError('refused', `checking ${name}: the network cannot be carried, ${why}`, {
    hints: [`build it with os.network: ${renderable().join(' or ')}`],
  })
}

async function readyImage(
  { source, image }: PlanImage,
  identities: readonly SecretKey[],
): Promise<ReadyImage> {
  const sessionKey = await decryptSessionKey(image.keysBytes, identities)
  return { source, manifest: image.manifest, sessionKey }
}

async function readCheckedHost(
  { rescue, target }: Images,
  signal: AbortSignal | undefined,
): Promise<HostFacts> {
  const host = await readHost()
  checkHost(host)
  await checkTools(undefined, signal)
  await checkNoRun()
  checkHostFits('rescue', rescue.ready.manifest, host)
  checkHostFits('target', target.ready.manifest, host)
  return host
}

interface Disks {
  readonly disk: Disk
  readonly stage: Disk
  readonly diskContent: DiskContent
  readonly stageContent: DiskContent
  /** An earlier run wrote the stage. */
  readonly isOurs: boolean
  /** The run that this first OS has begun. */
  readonly begun: BegunRun | undefined
  readonly store: FlashPlan['store']
}

async function readDisks(input: PlanInput, images: Images, host: HostFacts): Promise<Disks> {
  const { wipeData } = input
  const [rescue, target] = [images.rescue.ready, images.target.ready]
  const disks = await listDisks()
  const disk = pickDisk(disks, input.disk)
  const stage = pickDisk(disks, input.stage)
  checkPair(disk, stage)
  checkRoot(host, disk, stage)
  checkBootable(host.firmware, [disk, stage])
  checkStageFree(stage, (await describeBlockDevice(stage.path))?.users ?? [])
  checkTargetFits(target.manifest, disk)
  const { offset, length } = checkStageFits(rescue.manifest, stage, target.source.bytes)
  checkApart({ rescue: rescue.manifest, target: target.manifest, disks, disk, stage })
  const diskContent = await readContents(disk, host)
  const stageContent = await readContents(stage, host)
  checkDiskData(diskContent, wipeData)
  const begun = await begunRun()
  const isOurs = isOurStage(stageContent, begun) || isCutStage(stage, stageContent, begun)
  checkStageData(stageContent, { isOurs, wipeData })
  const store = { offset, bytes: length }
  return { disk, stage, diskContent, stageContent, isOurs, begun, store }
}

async function readCarryOf({ signal }: PlanInput): Promise<CapturedCarry> {
  const carry = await captureCarry({ signal })
  checkReachable(carry.carry)
  checkLogin(carry.carry)
  return carry
}

interface Findings {
  readonly host: HostFacts
  readonly disks: Disks
  readonly carry: CapturedCarry
}

/** What the rescue must drive: both disks, and every interface that is carried. */
async function modulesOf({ host, disks, carry }: Findings): Promise<string[]> {
  const found = [disks.disk, disks.stage].map(({ name }) => driversOf(`/sys/class/block/${name}`))
  const network = carry.carry.interfaces.flatMap(({ name }) => host.networkModules.get(name) ?? [])
  return [...new Set([...(await Promise.all(found)).flat(), ...network])].sort()
}

interface PlanFacts extends Findings {
  readonly input: PlanInput
  readonly images: Images
  readonly arm: FlashPlan['arm']
  readonly kernelModules: string[]
}

function planOf(facts: PlanFacts): FlashPlan {
  const { input, images, host, disks, arm, kernelModules } = facts
  const { go, confirm, notify } = input
  const carry = carryFacts(facts.carry)
  const { hostname, os, firmware, watchdog } = host
  const about = {
    host: { hostname, os, firmware, architecture: 'x86_64' as const, kernelModules },
    go,
    confirm,
    carry,
    ...(watchdog === undefined ? {} : { watchdog }),
  }
  const plan: FlashPlan = {
    format: 'osflash-plan/1',
    disk: identityOf(disks.disk),
    stage: stageIdentity(disks.stage),
    victims: victimsOf(disks.diskContent, disks.stageContent, disks.isOurs),
    rescue: images.rescue.opened.facts,
    target: images.target.opened.facts,
    store: disks.store,
    arm,
    ...about,
    ...(notify === undefined ? {} : { notify }),
    ...estimate({
      rescue: estimateImage(images.rescue.opened),
      target: estimateImage(images.target.opened),
    }),
    risks: risksOf({ ...about, target: images.target.opened.facts }, facts.carry.notes),
  }
  return asBegun(plan, disks.stageContent, disks.begun)
}

/** Staging changes its table, and a plan is the same after a run that was undone. */
function stageIdentity(stage: Disk): DiskIdentity {
  const { tableId: _, ...identity } = identityOf(stage)
  return identity
}

function carryFacts({ carry }: CapturedCarry): FlashPlan['carry'] {
  const { hostname, hostKeys, rootKeys, hasRootPassword } = carry
  const interfaces = carry.interfaces.map((one) => ({
    name: one.name,
    mac: one.mac,
    addresses: one.addresses.map(({ cidr }) => cidr),
    dhcp: [
      ...(one.dhcp4 ? ['IPv4'] : []),
      ...(one.dhcp6 ? ['IPv6'] : []),
      ...(one.acceptRouterAdvertisements ? ['router advertisements'] : []),
    ],
  }))
  const { gateways } = carry.reach
  return { hostname, interfaces, gateways, hostKeys, rootKeys, hasRootPassword }
}

const estimateImage = ({ source, dataBytes, zeroBytes, isRemote }: PlanImage): EstimateImage => ({
  packedBytes: source.bytes,
  dataBytes,
  zeroBytes,
  isRemote,
})
