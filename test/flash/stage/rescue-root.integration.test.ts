/** An unpacked rescue becomes this host's: what its root holds afterwards, and what is refused. */
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { writeCarry } from '../../../src/flash/carry/capture.ts'
import { mountPartition } from '../../../src/flash/mounted-root.ts'
import { RESCUE } from '../../../src/flash/places.ts'
import { furnishRescue } from '../../../src/flash/stage/rescue-root.ts'
import type { Manifest } from '../../../src/format/manifest.ts'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { KIB, MIB } from '../../../src/units.ts'
import { HASH, LOGIN_KEY, staticCarry, write } from '../carry/host-root.ts'

const isRoot = process.getuid?.() === 0
const OFFSET = 2 * MIB
const LENGTH = 16 * MIB
const UUID = '11111111-2222-4333-8444-555555555555'
const facts = { storeUuid: '66666666-7777-4888-8999-aaaaaaaaaaaa', planDigest: 'b'.repeat(64) }

const manifest: Manifest = {
  format: 'osflash-image/1',
  name: 'rescue',
  sequence: 1,
  created: '2023-11-14T22:13:20Z',
  os: { family: 'linux', network: 'networkd' },
  architecture: 'x86_64',
  firmware: ['bios'],
  boot: {
    rootPartition: 1,
    kernel: '/boot/vmlinuz-6',
    initrd: '/boot/initrd.img-6',
    commandLine: `root=UUID=${UUID} ro quiet`,
  },
  disk: {
    sectorBytes: 512,
    minimumBytes: 24 * MIB,
    table: { kind: 'gpt', guid: UUID },
    partitions: [
      {
        number: 1,
        name: 'root',
        type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
        guid: UUID,
        firstLba: OFFSET / 512,
        sectors: LENGTH / 512,
        grow: true,
        fileSystem: { kind: 'ext4', uuid: UUID },
      },
    ],
  },
  encryption: { cipher: 'aes256', aead: 'ocb', chunkOctet: 12 },
  payloads: [],
}

/** A disk image with the root of a rescue, and a carry. */
async function rescue() {
  const scratch = await makeScratch('rescue-root')
  onTestFinished(() => scratch[Symbol.asyncDispose]())
  const tree = join(scratch.path, 'tree')
  await write(tree, '/etc/hostname', 'rescue\n')
  await write(tree, '/etc/passwd', 'root:x:0:0:root:/root:/bin/bash\n')
  await write(tree, '/etc/shadow', 'root:*:19700:0:99999:7:::\n')
  await write(tree, '/etc/systemd/network/80-dhcp.network', '[Match]\nName=en*\n')
  await write(tree, '/lib/modules/6.1/modules.dep', 'kernel/net/virtio_net.ko.xz:\n')
  await write(tree, '/lib/modules/6.1/modules.builtin', 'kernel/drivers/virtio_blk.ko\n')
  for (const folder of ['boot/grub', 'root', 'etc/ssh']) {
    await mkdir(join(tree, folder), { recursive: true })
  }
  const disk = join(scratch.path, 'disk')
  await using file = await open(disk, 'w')
  await file.truncate(24 * MIB)
  const place = ['-E', `offset=${OFFSET}`, '-d', tree] as const
  await run(['mke2fs', '-q', '-t', 'ext4', ...place, disk, `${LENGTH / KIB}k`])
  const carryFolder = join(scratch.path, 'carry')
  const carry = staticCarry()
  await writeCarry(carryFolder, {
    carry,
    files: {
      ssh: [{ name: 'ssh_host_ed25519_key', bytes: Buffer.from('secret') }],
      rootKeys: `${LOGIN_KEY}\n`,
      rootShadow: `root:${HASH}:1:2:3:4:5:6:`,
    },
  })
  return { disk, manifest, carry, carryFolder, facts, at: join(scratch.path, 'look') }
}

const textOf = (root: string, path: string): Promise<string> => readFile(join(root, path), 'utf8')

describe.skipIf(!isRoot)('furnishRescue (as root, with a loop device)', () => {
  it('gives the rescue address, keys, boot menu, store; twice as once', async () => {
    const { at, ...host } = await rescue()
    const modules = ['virtio_net', 'virtio_blk']
    await furnishRescue({ ...host, modules })
    await furnishRescue({ ...host, modules })
    const place = { disk: host.disk, offset: OFFSET, length: LENGTH, fileSystem: 'ext4' }
    await using root = await mountPartition({ ...place, at, readOnly: true })
    expect(JSON.parse(await textOf(root.path, RESCUE.stageFacts))).toEqual({
      format: 'osflash-stage/1',
      rescueRootUuid: UUID,
      ...facts,
    })
    expect(await textOf(root.path, '/etc/hostname')).toBe('web1\n')
    expect(await textOf(root.path, '/root/.ssh/authorized_keys')).toContain(LOGIN_KEY)
    expect(await textOf(root.path, '/etc/shadow')).toContain(HASH)
    const key = join(root.path, 'etc/ssh/ssh_host_ed25519_key')
    expect((await stat(key)).mode & 0o777).toBe(0o600)
    const config = await textOf(root.path, RESCUE.grubConfig)
    expect(config).toContain('/boot/vmlinuz-6')
    expect(config).toContain('panic=30')
    expect((await stat(join(root.path, RESCUE.grubEnvironment))).size).toBe(1_024)
    expect((await stat(join(root.path, RESCUE.targetSector0))).size).toBe(512)
  })

  it('refuses a rescue without a driver of the host, leaves its root alone', async () => {
    const { at, ...host } = await rescue()
    const modules = ['virtio_net', 'megaraid_sas']
    await expect(furnishRescue({ ...host, modules })).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('lacks the kernel modules megaraid_sas'),
    })
    const place = { disk: host.disk, offset: OFFSET, length: LENGTH, fileSystem: 'ext4' }
    await using root = await mountPartition({ ...place, at, readOnly: true })
    expect(await textOf(root.path, '/etc/hostname')).toBe('rescue\n')
  })

  it('refuses an image that does not say what it boots', async () => {
    const { at: _, ...host } = await rescue()
    const { boot: __, ...rest } = manifest
    const failure = furnishRescue({ ...host, manifest: rest, modules: [] })
    await expect(failure).rejects.toThrow(/does not say where its root is/)
    await writeFile(host.disk, '')
    await expect(furnishRescue({ ...host, modules: [] })).rejects.toThrow()
  })
})
