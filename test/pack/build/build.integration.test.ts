import { chmod, link, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from '../../../src/system/run.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { MIB } from '../../../src/units.ts'
import { askExt4, buildTiny, EPOCH, payloadDigests } from './tiny.ts'

const RECIPE = `name: tiny
firmware: []
os: {id: tiny, version: "1"}
source: {directory: tree}
customise:
  hostname: small
  files:
    - {path: /etc/motd, content: "hello\\n", mode: "0640", owner: "ada:7"}
    - {path: /deep/er/copy, source: extra.txt}
  users: [{name: ada, authorized-keys: [ssh-ed25519 AAAA]}]
disk:
  partitions:
    - {role: esp}
    - {role: swap, size: 8MiB}
    - {role: other, name: data, mount: /srv, size: fit}
    - {role: root, grow: true, label: tinyroot}
`

/** A folder with a recipe and a tree that holds one of each kind. */
async function tinyFolder(recipe: string = RECIPE) {
  const scratch = await makeScratch('tiny-test')
  const tree = join(scratch.path, 'tree')
  for (const folder of ['etc/ssh', 'srv', 'boot', 'var/log', 'usr/lib/__pycache__']) {
    await mkdir(join(tree, folder), { recursive: true })
  }
  const files: Readonly<Record<string, string>> = {
    'etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
    'etc/group': 'root:x:0:\n',
    'etc/shadow': 'root:*:99999:0:99999:7:::\n',
    'etc/machine-id': '0123\n',
    'etc/ssh/ssh_host_ed25519_key': 'secret',
    'etc/ssh/sshd_config': '',
    'srv/page': 'page\n',
    'var/log/old': 'x',
    'usr/lib/__pycache__/a.pyc': 'x',
    'usr/lib/b': 'b',
    'usr/lib/a': 'a'.repeat(100_000),
    'usr/lib/c d': 'c',
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(tree, name), text)
  await chmod(join(tree, 'usr/lib/b'), 0o4755)
  await link(join(tree, 'usr/lib/a'), join(tree, 'usr/lib/hard'))
  await symlink('a', join(tree, 'usr/lib/soft'))
  await writeFile(join(scratch.path, 'extra.txt'), 'extra')
  await writeFile(join(scratch.path, 'recipe.yaml'), recipe)
  return scratch
}

describe('a build of a folder', () => {
  test('gives the same bytes twice, whenever it runs', async () => {
    await using folder = await tinyFolder()
    const first = await buildTiny({ folder: folder.path, into: 'first' })
    // Access and change times differ now; names do not.
    await run(['find', join(folder.path, 'tree'), '-exec', 'touch', '{}', '+'])
    const second = await buildTiny({ folder: folder.path, into: 'second' })
    expect(await payloadDigests(second.source)).toEqual(await payloadDigests(first.source))
    expect(second.source.disk).toEqual(first.source.disk)
    expect(Object.keys(await payloadDigests(first.source))).toEqual(['esp', 'swap', 'data', 'root'])
  })

  test('puts files, modes, owners and links where they belong', async () => {
    await using folder = await tinyFolder()
    const { source } = await buildTiny({ folder: folder.path, into: 'built' })
    const root = source.payloads.find(({ name }) => name === 'root')?.path ?? ''
    const data = source.payloads.find(({ name }) => name === 'data')?.path ?? ''
    await run(['/sbin/e2fsck', '-fn', root])
    expect(await askExt4(root, 'cat /etc/motd')).toBe('hello\n')
    expect(await askExt4(root, 'stat /etc/motd')).toMatch(
      /Mode: {2}0640[\s\S]*User: {2}1000 +Group: +7/,
    )
    expect(await askExt4(root, 'cat /deep/er/copy')).toBe('extra')
    expect(await askExt4(root, 'cat /etc/hostname')).toBe('small\n')
    expect(await askExt4(root, 'cat /home/ada/.ssh/authorized_keys')).toBe('ssh-ed25519 AAAA\n')
    expect(await askExt4(root, 'cat /etc/shadow')).toMatch(/^root:\*:19675:.*\nada:\*:19675:/)
    expect(await askExt4(root, 'stat /usr/lib/b')).toMatch(/Mode: {2}04755/)
    expect(await askExt4(root, 'stat /usr/lib/hard')).toMatch(/Links: 2/)
    expect(await askExt4(root, 'stat /usr/lib/soft')).toMatch(/Fast link dest: "a"/)
    expect(await askExt4(data, 'cat /page')).toBe('page\n')
    expect(await askExt4(root, 'ls /srv')).not.toContain('page')
    const fstab = (await askExt4(root, 'cat /etc/fstab')).replaceAll(/UUID=[0-9A-Fa-f-]+/g, 'ID')
    expect(fstab.split('\n').slice(1, -1)).toEqual([
      'ID /boot/efi vfat umask=0077,nofail 0 2',
      'ID none swap sw 0 0',
      'ID /srv ext4 defaults 0 2',
      'ID / ext4 defaults,x-systemd.growfs 0 1',
    ])
  })

  test('leaves out identity and left-overs, and clamps every time', async () => {
    await using folder = await tinyFolder()
    const { source, scratch } = await buildTiny({ folder: folder.path, into: 'built' })
    const root = source.payloads.find(({ name }) => name === 'root')?.path ?? ''
    expect(await askExt4(root, 'cat /etc/machine-id')).toBe('')
    const names = await askExt4(root, 'ls -p /etc/ssh')
    expect(names).toContain('/sshd_config/')
    expect(names).not.toContain('ssh_host')
    expect(await askExt4(root, 'ls -p /var/log')).not.toContain('/old/')
    expect(await askExt4(root, 'ls -p /usr/lib')).not.toContain('pycache')
    const { stdout } = await run(['/sbin/dumpe2fs', '-h', root])
    expect(stdout).toMatch(/Filesystem created: +Tue Nov 14 22:13:20 2023/)
    for (const path of ['/', '/usr/lib/a', '/etc/motd', '/home']) {
      const times = [...(await askExt4(root, `stat ${path}`)).matchAll(/time: 0x([0-9a-f]+)/g)]
      expect(times.length).toBeGreaterThanOrEqual(4)
      for (const [, hex = ''] of times) expect(Number.parseInt(hex, 16)).toBe(EPOCH)
    }
    // The tree of the root is gone; only what the packer reads is left.
    expect((await readdir(scratch)).filter((name) => /^(root|tree-data)$/.test(name))).toEqual([])
  })

  test('marks free blocks as unused, and nothing that holds data', async () => {
    await using folder = await tinyFolder()
    const { source } = await buildTiny({ folder: folder.path, into: 'built' })
    const root = source.payloads.find(({ name }) => name === 'root')
    const bytes = await readFile(root?.path ?? '')
    expect(root?.unused.length).toBeGreaterThan(0)
    for (const { offset, length } of root?.unused ?? []) bytes.fill(0xff, offset, offset + length)
    const damaged = join(folder.path, 'damaged')
    await writeFile(damaged, bytes)
    await run(['/sbin/e2fsck', '-fn', damaged])
    expect(await askExt4(damaged, 'cat /usr/lib/a')).toBe('a'.repeat(100_000))
  })

  test('identifies file systems as the layout says', async () => {
    await using folder = await tinyFolder()
    const { source } = await buildTiny({ folder: folder.path, into: 'built' })
    for (const { name, path } of source.payloads) {
      const found = await run(['/sbin/blkid', '-p', '-o', 'value', '-s', 'UUID', path])
      const known = source.disk?.partitions.find((partition) => partition.name === name)
      expect(found.stdout.trim()).toBe(known?.fileSystem?.uuid)
    }
  })
})

describe('a build with boot loaders', () => {
  const BOOTABLE = ['firmware=[bios, uefi]', 'disk={}']

  test('has boot code that points to the core image, and a UEFI program', async () => {
    await using folder = await tinyFolder()
    await writeFile(join(folder.path, 'tree/boot/vmlinuz-1'), 'kernel')
    const { source } = await buildTiny({ folder: folder.path, into: 'built', set: BOOTABLE })
    const table = source.disk?.table
    const bootCode = Buffer.from((table?.kind === 'gpt' && table.bootCode) || '', 'base64')
    const [core, esp] = source.payloads
    expect(bootCode.readBigUInt64LE(0x5c)).toBe(2048n)
    expect(core).toMatchObject({ name: 'bios-boot', place: { offsetBytes: MIB } })
    expect((await readFile(core?.path ?? '')).readBigUInt64LE(500)).toBe(2049n)
    const listed = await run(['mdir', '-b', '-/', '-i', esp?.path ?? '', '::'])
    expect(listed.stdout).toContain('/EFI/BOOT/BOOTX64.EFI')
    expect(source.boot).toMatchObject({ rootPartition: 3, kernel: '/boot/vmlinuz-1' })
    expect(source.boot?.commandLine).toMatch(/^root=UUID=\S+ ro console=tty0 console=ttyS0,115200$/)
  })

  test('has the core image in the gap of an MBR disk', async () => {
    await using folder = await tinyFolder()
    await writeFile(join(folder.path, 'tree/boot/vmlinuz-1'), 'kernel')
    const set = ['firmware=[bios]', 'disk={table: mbr, partitions: [{role: root}]}']
    const { source } = await buildTiny({ folder: folder.path, into: 'built', set })
    const [core, root] = source.payloads
    expect(core?.place).toEqual({ kind: 'region', offsetBytes: 512 })
    expect(core?.range.length).toBeLessThan(MIB - 512)
    expect(root?.place).toEqual({ kind: 'region', offsetBytes: MIB })
    expect(source.disk?.table.kind).toBe('mbr')
  })

  test('needs a kernel', async () => {
    await using folder = await tinyFolder()
    const build = buildTiny({ folder: folder.path, into: 'built', set: BOOTABLE })
    await expect(build).rejects.toMatchObject({ code: 'refused' })
    expect(await readdir(join(folder.path, 'built'))).not.toContain('root')
  })
})

describe('a build that fails', () => {
  test('because the root does not fit says so and leaves no tree', async () => {
    await using folder = await tinyFolder()
    await writeFile(join(folder.path, 'tree/big'), Buffer.alloc(20 * MIB, 1))
    const set = ['disk={partitions: [{role: root, size: 8MiB}]}']
    const build = buildTiny({ folder: folder.path, into: 'built', set })
    await expect(build).rejects.toMatchObject({
      code: 'process',
      data: { program: 'mke2fs' },
      hints: ['make the partition larger, or size: fit'],
    })
    expect(await readdir(join(folder.path, 'built'))).not.toContain('root')
  })

  test('because it was cancelled leaves no tree', async () => {
    await using folder = await tinyFolder()
    const signal = AbortSignal.abort()
    const build = buildTiny({ folder: folder.path, into: 'built', signal })
    await expect(build).rejects.toMatchObject({ code: 'cancelled' })
    expect(await readdir(join(folder.path, 'built'))).toEqual([])
  })

  test('because the new root lacks a program names it', async () => {
    await using folder = await tinyFolder()
    const set = ['customise.scripts=[{content: "exit 3"}]']
    const build = buildTiny({ folder: folder.path, into: 'built', set })
    await expect(build).rejects.toMatchObject({
      code: 'missing-tool',
      message: expect.stringMatching(/^running \/bin\/sh: chroot: failed to run command/),
    })
    expect(await readdir(join(folder.path, 'built'))).not.toContain('root')
  })
})

test.each(['gz', 'xz', 'zst'])('a tarball (%s) gives what its folder gives', async (suffix) => {
  await using folder = await tinyFolder()
  const tarball = join(folder.path, `tree.tar.${suffix}`)
  await run(['tar', '-c', '-a', '-f', tarball, '-C', join(folder.path, 'tree'), '.'])
  const set = ['source={}', `source.tar=${tarball}`, 'disk={partitions: [{role: root}]}']
  const { source } = await buildTiny({ folder: folder.path, into: 'built', set })
  const root = source.payloads[0]?.path ?? ''
  expect(await askExt4(root, 'stat /usr/lib/hard')).toMatch(/Links: 2/)
  expect(await askExt4(root, 'cat /srv/page')).toBe('page\n')
})

describe('other file systems', () => {
  const withKind = (kind: string) =>
    `disk={partitions: [{role: root, file-system: ${kind}, label: tinyroot}]}`

  test('xfs holds the tree, sticky and set-uid bits included', async () => {
    await using folder = await tinyFolder()
    const tree = join(folder.path, 'tree')
    await mkdir(join(tree, 'var/tmp'))
    await chmod(join(tree, 'var/tmp'), 0o1777)
    const refused = buildTiny({ folder: folder.path, into: 'refused', set: [withKind('xfs')] })
    await expect(refused).rejects.toThrow('/usr/lib/c d: a name that mkfs.xfs cannot take')
    await rm(join(tree, 'usr/lib/c d'))
    const set = [withKind('xfs')]
    const { source, events } = await buildTiny({ folder: folder.path, into: 'built', set })
    const root = source.payloads[0]?.path ?? ''
    await run(['/sbin/xfs_repair', '-n', '-f', root])
    const ask = async (path: string, field: string) =>
      (await run(['/sbin/xfs_db', '-r', '-c', `path ${path}`, '-c', `print ${field}`, root])).stdout
    expect(await ask('/var/tmp', 'core.mode')).toBe('core.mode = 041777\n')
    expect(await ask('/usr/lib/b', 'core.mode')).toBe('core.mode = 0104755\n')
    expect(await ask('/usr/lib/a', 'core.size')).toBe('core.size = 100000\n')
    expect(await ask('/etc/motd', 'core.uid')).toBe('core.uid = 1000\n')
    const uuid = source.disk?.partitions[0]?.fileSystem?.uuid
    expect((await run(['/sbin/blkid', '-p', '-o', 'value', '-s', 'UUID', root])).stdout).toBe(
      `${uuid}\n`,
    )
    expect(events).toContainEqual({
      event: 'note',
      text: 'root: xfs is not the same bytes in every build',
    })
  })

  test('xfs refuses extended attributes by name', async () => {
    await using folder = await tinyFolder()
    const tree = join(folder.path, 'tree')
    await rm(join(tree, 'usr/lib/c d'))
    const setAttribute = 'import os, sys; os.setxattr(sys.argv[1], "user.note", b"x")'
    await run(['python3', '-c', setAttribute, join(tree, 'usr/lib/b')])
    const build = buildTiny({ folder: folder.path, into: 'built', set: [withKind('xfs')] })
    await expect(build).rejects.toThrow('/usr/lib/b has extended attributes')
  })

  test('btrfs holds the tree', async () => {
    await using folder = await tinyFolder()
    const set = [withKind('btrfs')]
    const { source } = await buildTiny({ folder: folder.path, into: 'built', set })
    const root = source.payloads[0]?.path ?? ''
    await run(['btrfs', 'check', '--readonly', root])
    const restored = join(folder.path, 'restored')
    await mkdir(restored)
    await run(['btrfs', 'restore', root, restored])
    expect(await readFile(join(restored, 'etc/motd'), 'utf8')).toBe('hello\n')
  })
})
