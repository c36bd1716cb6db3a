/**
 * What must be true when a replacement has ended; asked over SSH and of the disk files.
 *
 * 1. The host is the same to everybody who knew it; only the release is another.
 * 2. Table, boot sector and backup table are those that the image gives on a disk of this size.
 * 3. Of the old disk nothing is found: no table, no file system.
 * 4. No secret is left on either disk; after `osflash cleanup` no key of the host on the stage.
 */
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { expect } from 'vitest'
import { TARGET } from '../../src/flash/places.ts'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { MIB } from '../../src/units.ts'
import { bootEntries } from './boot-entries.ts'
import { buildFolder } from './cache.ts'
import { debugfs, findBytes, guidBytes, partitionNamed, readBytes, readTable } from './disk-file.ts'
import { DECOYS, DISK_BYTES, firstDisk } from './first-os.ts'
import { ADDRESS, type Host } from './host.ts'
import { osflash } from './keys.ts'
import { type Options, osflash as operated } from './operator.ts'
import { LIMIT, type Takeover } from './takeover.ts'

const GPT_HEAD_BYTES = 34 * 512
const GPT_END_BYTES = 33 * 512
const STORE_NAME = 'osflash-store'

interface Replaced {
  readonly host: Host
  readonly takeover: Takeover
  readonly images: Options
}

/** The machine is on, before and after. */
export async function expectReplaced({ host, takeover, images }: Replaced): Promise<void> {
  const { before, during, after } = takeover
  const { hostname, hostKeys, rootKeys, rootPassword } = before
  expect({ rootKeys, rootPassword }).toEqual({
    rootKeys: host.keys.loginPublic,
    rootPassword: expect.stringMatching(/^\$6\$/),
  })
  expect(during).toMatchObject({ hostname, hostKeys, rootKeys, rootPassword })
  expect(after).toEqual({
    ...before,
    release: 'debian 13',
    addresses: `${ADDRESS}/24`,
    bootEntries: after.bootEntries,
  })
  const root = (await host.ssh('findmnt -no SOURCE /; df --output=size -B1M / | tail -n 1')).trim()
  expect(root).toMatch(/^\/dev\/vd[ab]3\n\s*5\d{3}$/)
  expect((await host.ssh('systemctl --failed --plain --no-legend')).trim()).toBe('')
  await host.ssh('sync')
  await host.machine.standingStill(async () => {
    await expectTargetDisk(host, String(images.target))
    await expectNothingOld(host)
    await expectNoSecrets(host, takeover.sessionKey)
  })
}

/** The head and the end of the disk are those of the image, to the byte. */
async function expectTargetDisk(host: Host, address: string): Promise<void> {
  await using scratch = await makeScratch('e2e-reference', buildFolder)
  const { signerCert, recipientKey } = host.keys
  const reference = join(scratch.path, 'disk.img')
  const packed = join(buildFolder, basename(address))
  const reading = ['--trust', signerCert, '--identity', recipientKey]
  const size = ['--size', String(DISK_BYTES)]
  await run([osflash, 'unpack', packed, '--to', reference, ...size, ...reading])
  const head = async (disk: string) => readBytes(disk, 0, GPT_HEAD_BYTES)
  const end = async (disk: string) => readBytes(disk, -GPT_END_BYTES, GPT_END_BYTES)
  expect(await readTable(host.diskPath)).toEqual(await readTable(reference))
  expect((await head(host.diskPath)).equals(await head(reference))).toBe(true)
  expect((await end(host.diskPath)).equals(await end(reference))).toBe(true)
}

/** A table is looked for at both ends; md, LVM and ZFS have theirs there too. */
const END_BYTES = 4 * MIB
/** blkid found nothing. */
const NOTHING = 2

/** Copies of superblocks inside of partitions that are gone are found by nobody. */
async function expectNothingOld(host: Host): Promise<void> {
  const { partitions } = await readTable(await firstDisk(host.options.variant))
  const present = await readTable(host.diskPath)
  for (const { name, offset, bytes } of partitions) {
    if (present.partitions.some((partition) => partition.offset === offset)) continue
    const place = ['--offset', String(offset), '--size', String(bytes)]
    const { status } = await run(['blkid', '-p', ...place, host.diskPath], { statuses: [0, 2] })
    expect({ name, status }).toEqual({ name, status: NOTHING })
  }
  const found = await findBytes(host.diskPath, {
    table: guidBytes(DECOYS.tableId),
    'table at the end': guidBytes(DECOYS.endTableId),
    'partition name': Buffer.from('decoy-', 'utf16le'),
  })
  const atEnds = Object.values(found)
    .flat()
    .filter((at) => at < END_BYTES || at >= DISK_BYTES - END_BYTES)
  expect(atEnds).toEqual([])
}

async function expectNoSecrets(host: Host, sessionKey: string): Promise<void> {
  expect(sessionKey).toMatch(/^[0-9a-f]{64}$/)
  const armored = (await readFile(host.keys.recipientKey, 'utf8')).split('\n')
  const [line = ''] = armored.toSorted((a, b) => b.length - a.length)
  expect(line).toMatch(/^[A-Za-z0-9+/]{60,}$/)
  const secrets = {
    'session key': Buffer.from(sessionKey),
    'session key, binary': Buffer.from(sessionKey, 'hex'),
    'private key': Buffer.from(line),
  }
  const none = { 'session key': [], 'session key, binary': [], 'private key': [] }
  expect(await findBytes(host.stagePath, secrets)).toEqual(none)
  // The operator's key file was a file of the first OS; what the target needs not is not
  // overwritten (docs/apply.md, "What remains at risk").
  const { 'private key': _, ...ours } = await findBytes(host.diskPath, secrets)
  expect(ours).toEqual({ 'session key': [], 'session key, binary': [] })
  const store = await partitionNamed(host.stagePath, STORE_NAME)
  const names = await debugfs(host.stagePath, store, ['ls -p /'])
  expect(names).toContain('/confirmed/')
  expect(names).not.toMatch(/\/(target\.session-key|carry)\//)
}

/**
 * `osflash cleanup`: nothing of osflash is left, no key of the host on the stage, and the host
 * starts without it. The machine is on before, and off afterwards.
 */
export async function expectCleanedUp(host: Host): Promise<void> {
  const cleaned = await operated(host, 'cleanup --yes')
  expect(cleaned, cleaned.stderr).toMatchObject({ status: 0 })
  expect(await bootEntries(host)).not.toContain('osflash rescue')
  const { unit, agent, confirm, sector0, program, settings } = TARGET
  const ours = [unit, agent, confirm, sector0, program, settings].join(' ')
  expect(await host.ssh(`ls -d ${ours} 2> /dev/null || true`)).toBe('')
  await host.powerOff()
  await expectBlankStage(host)
  await host.powerOn()
  await host.waitFor('target', { seconds: LIMIT.boot })
  await host.powerOff()
}

/** Nothing finds anything on the stage, and no key of the host is on it; the machine writes not. */
export async function expectBlankStage(host: Host): Promise<void> {
  const { status } = await run(['blkid', '-p', host.stagePath], { statuses: [0, 2] })
  expect(status).toBe(NOTHING)
  const armored = (await readFile(join(host.keys.host, 'ssh_host_ed25519_key'), 'utf8')).split('\n')
  const key = Buffer.from(armored[3] ?? '')
  expect(key.length).toBeGreaterThan(40)
  expect(await findBytes(host.stagePath, { key })).toEqual({ key: [] })
}

/** BIOS: the chain of sector 0 was gone through in order. */
export async function expectOwnBootChain(host: Host): Promise<void> {
  const log = await host.serialLog()
  const guard = log.indexOf('osflash: guard')
  const trial = log.indexOf('osflash: trial', guard)
  const confirm = log.slice(trial).search(/osflash.*confirmed/)
  expect({ guard: guard >= 0, trial: trial > guard, confirm: confirm > 0 }).toEqual({
    guard: true,
    trial: true,
    confirm: true,
  })
}
