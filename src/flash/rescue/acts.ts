/**
 * The acts of the rescue, on the real host. machine.ts says in which order.
 *
 * 1. Before each destructive call the disk is found again by what it is (serial number, size);
 *    its table is compared too until it was wiped by us.
 * 2. Everything comes from the store: no network is used while the disk is written.
 * 3. Each act may be done again.
 *
 * Not promised: anything about the order; without the guard, wiping would end in a disk that
 * nothing boots.
 */

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openFileSource } from '../../deliver/file.ts'
import { type Certificate, readCertificates } from '../../encrypt/keys.ts'
import { verifyDetached } from '../../encrypt/signature.ts'
import { ioError, OsflashError, throwIfCancelled } from '../../errors.ts'
import { inPhase } from '../../events.ts'
import type { Manifest } from '../../format/manifest.ts'
import { exists } from '../../system/exists.ts'
import { readIfThere } from '../../system/read-if-there.ts'
import { type CheckSignatures, openImage } from '../../unpack/image.ts'
import { lookAtTarget } from '../../unpack/target.ts'
import { unpackDisk } from '../../unpack/unpack-disk.ts'
import { verifyImage } from '../../unpack/verify.ts'
import { readPiece } from '../boot/one-write.ts'
import { reachable } from '../carry/check.ts'
import { removeFileSafely, writeFileSafely } from '../durable-file.ts'
import { eraseSecrets } from '../erase.ts'
import { RESUME_WITH } from '../hints.ts'
import { resolveDisk } from '../host/disks.ts'
import { manifestDigest } from '../image-places.ts'
import { STORE } from '../places.ts'
import { readSequences } from '../trial/sequences.ts'
import { furnishTarget } from './furnish.ts'
import type { RescueHost } from './host.ts'
import type { RescueActs } from './machine.ts'
import { forgetPartitions, wipeDisk } from './wipe.ts'

/** Seconds that a switch may take to let traffic through. */
const GATE_SECONDS = 180

export function rescueActs(host: RescueHost): RescueActs {
  const { plan, boot, store } = host
  const intent = join(store, STORE.intent)
  return {
    hasGuard: () => boot.hasGuard(),
    wasDecided: async () => (await exists(intent)) && (await boot.hasGuard()),
    rehearse: () => rehearse(host),
    guard: async (isFirst) => {
      await resolveDisk(plan.disk, { tableId: isFirst ? 'check' : 'ignore' })
      await boot.check()
      if (isFirst) await saveFirst(host)
      // Before the guard: one that firmware put there by itself is no decision.
      await writeFileSafely(intent, '', 0o600)
      await boot.guard()
    },
    wipe: async () => {
      const disk = await guardedDisk(host)
      // A target that was being replaced may not be there: then there is still a way back.
      await storedManifest(host)
      await storedKey(store)
      // What it says of the disk is not true any more.
      for (const name of [STORE.checkpoint, STORE.confirmed, STORE.granted]) {
        await removeFileSafely(join(store, name))
      }
      await wipeDisk(disk, {
        guarded: (target) => boot.wrapTarget(target),
        begin: () => writeFileSafely(join(store, STORE.wiping), '', 0o600),
      })
      await forgetPartitions(disk)
    },
    unpack: () => unpack(host),
    furnish: async () => {
      const disk = await guardedDisk(host)
      await furnishTarget(host, { disk, manifest: await storedManifest(host) })
    },
    retarget: () => boot.retarget(),
    trial: async (attempt) => {
      // What an earlier trial left is not the reason of this one.
      await removeFileSafely(join(store, STORE.trialLog))
      await boot.trial(() => writeFileSafely(join(store, STORE.granted), `${attempt}\n`, 0o600))
    },
    wasGranted: (attempt) => wasGranted(store, attempt),
    confirm: async () => {
      // Read as the last state if the power goes now: what is left to do is done again then.
      const confirmed = join(store, STORE.confirmed)
      await writeFileSafely(confirmed, `${host.planDigest}\n`, 0o600)
      try {
        await boot.confirm()
      } catch (error) {
        // Held then, and to be tried again; carry and session key are needed for that.
        if (await boot.hasGuard().catch(() => true)) await removeFileSafely(confirmed)
        throw error
      }
    },
    erase: () => eraseSecrets(store),
    release: () => boot.release(),
    trialReason: () => trialReason(host),
  }
}

/** What the guard takes the place of: `osflash abort` puts it back while nothing was wiped. */
async function saveFirst({ store, boot }: RescueHost): Promise<void> {
  const saved = await boot.beforeGuard()
  if (saved === undefined) return
  const path = join(store, STORE.guardBackup)
  const bytes = Buffer.from(`${JSON.stringify(saved)}\n`)
  await writeFileSafely(path, bytes, 0o600)
  if (bytes.equals(await readPiece({ path, offset: 0, length: bytes.length }))) return
  throw new OsflashError('readback', `reading back ${path}: it is not what was written`, {
    hints: ['the stage disk is failing: take another one'],
  })
}

/** The disk, as long as every boot ends here; nothing is destroyed without that. */
async function guardedDisk({ plan, boot }: RescueHost): Promise<string> {
  const path = await resolveDisk(plan.disk, { tableId: 'ignore' })
  if (await boot.hasGuard()) return path
  throw new OsflashError('readback', `touching ${path}: the guard is not in place`, {
    hints: ['osflash status', 'osflash resume puts it in place again'],
  })
}

/**
 * Everything that can be known before the first disk is touched: what was wrong here would else be
 * found when there is no first OS to go back to.
 */
async function rehearse(host: RescueHost): Promise<void> {
  const { plan, carry, boot, emit } = host
  const signal = host.signal === undefined ? {} : { signal: host.signal }
  await boot.check()
  await readSequences(join(host.store, STORE.sequences))
  await reachable({ carry, withinSeconds: GATE_SECONDS, ...signal })
  await host.alive()
  const disk = await resolveDisk(plan.disk, { tableId: 'check' })
  await lookAtTarget({ path: disk, leastBytes: 0, overwrite: true, resume: false })
  await storedManifest(host)
  await using source = await openFileSource(join(host.store, STORE.image))
  await inPhase(emit, 'verifying the stored target', async () =>
    verifyImage({
      source,
      check: await storedTrust(host.store),
      identities: { sessionKey: await storedKey(host.store) },
      emit,
      ...signal,
    }),
  )
  if (plan.go.how === 'ssh' && !host.isManned) await waitForGo(host)
}

async function waitForGo({ plan, store, emit, signal }: RescueHost): Promise<void> {
  const { withinSeconds } = plan.go
  emit({ event: 'note', text: `waiting ${withinSeconds} s for: osflash go` })
  for (let waited = 0; waited < withinSeconds; waited++) {
    throwIfCancelled(signal)
    if (await exists(join(store, STORE.go))) return
    await sleep(1_000)
  }
  throw new OsflashError('refused', `waiting for GO: nobody ran osflash go in ${withinSeconds} s`, {
    hints: ['apply again, and run osflash go over SSH in the rescue'],
  })
}

async function unpack(host: RescueHost): Promise<void> {
  const { store, boot, emit, signal } = host
  const to = await guardedDisk(host)
  await storedManifest(host)
  await using source = await openFileSource(join(store, STORE.image))
  await unpackDisk({
    source,
    check: await storedTrust(store),
    identities: { sessionKey: await storedKey(store) },
    to,
    overwrite: true,
    resume: true,
    verify: true,
    checkpointPath: join(store, STORE.checkpoint),
    wrapTarget: (target) => boot.wrapTarget(target),
    emit,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** The manifest that the plan pinned; no other is obeyed. */
async function storedManifest({ store, plan }: RescueHost): Promise<Manifest> {
  await using source = await openFileSource(join(store, STORE.image))
  const image = await openImage(source, await storedTrust(store))
  if (manifestDigest(image.manifestBytes) === plan.target.manifestSha256) return image.manifest
  throw new OsflashError('trust', 'opening the stored target: it is not the image of the plan', {
    hints: [RESUME_WITH],
  })
}

async function storedKey(store: string): Promise<Uint8Array> {
  const path = join(store, STORE.sessionKey)
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw ioError(`reading ${path}`, cause)
  })
  if (/^[0-9a-f]{64}\n$/.test(text)) return Buffer.from(text.trim(), 'hex')
  throw new OsflashError('decryption', `reading ${path}: it holds no session key`, {
    hints: [RESUME_WITH],
  })
}

/** Signatures of those whose certificates the first OS stored; times are not looked at here. */
async function storedTrust(store: string): Promise<CheckSignatures> {
  const folder = join(store, STORE.trust)
  const names = await readdir(folder).catch((cause: unknown) => {
    throw ioError(`reading ${folder}`, cause)
  })
  const trusted: Certificate[] = []
  for (const name of names.sort()) {
    const place = join(folder, name)
    trusted.push(...(await readCertificates({ bytes: await readFile(place), place })))
  }
  return async (bytes, signatures) => (await verifyDetached({ bytes, signatures, trusted })).signers
}

/** Only a file that is not there, or is of another trial, says no. */
async function wasGranted(store: string, attempt: number): Promise<boolean> {
  const text = (await readIfThere(join(store, STORE.granted)))?.toString().trim()
  return text === String(attempt)
}

/** The last line that the agent left, or that it left none. */
async function trialReason({ store, plan }: RescueHost): Promise<string> {
  const log = await readFile(join(store, STORE.trialLog), 'utf8').catch(() => '')
  const { withinSeconds } = plan.confirm
  return (
    log.trim().split('\n').at(-1) ||
    `it did not confirm within ${withinSeconds} s and left no word: it did not start, or hung`
  )
}
