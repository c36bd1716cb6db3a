/** Drivers of this machine's devices, and whether another root has them. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { driversOf, missingModules } from '../../../src/flash/host/modules.ts'

describe('modules of another root', () => {
  let root = ''

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'osflash-modules-'))
  })
  afterEach(() => rm(root, { recursive: true }))

  async function addKernel(version: string, files: Record<string, string>): Promise<void> {
    const folder = join(root, 'usr/lib/modules', version)
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  }

  it('are those that are built in and those that can be loaded', async () => {
    await addKernel('6.1.0', {
      'modules.builtin': 'kernel/drivers/virtio/virtio_pci.ko\n',
      'modules.dep':
        'kernel/drivers/block/virtio_blk.ko.xz: kernel/x.ko.xz\nkernel/net/e1000e.ko:\n',
    })
    const wanted = ['virtio_pci', 'virtio-blk', 'e1000e', 'nvme']
    expect(await missingModules(root, wanted)).toEqual(['nvme'])
    expect(await missingModules(root, [])).toEqual([])
  })

  it('may lie behind a link inside of the root, or in any of several kernels', async () => {
    await addKernel('6.1.0', { 'modules.dep': 'kernel/a.ko:\n' })
    await addKernel('6.12.0', { 'modules.dep': 'kernel/b.ko.zst:\n' })
    await symlink('usr/lib', join(root, 'lib'))
    expect(await missingModules(root, ['a', 'b'])).toEqual([])
  })

  it('are never those of the running system', async () => {
    await symlink('/usr/lib', join(root, 'lib'))
    expect(await missingModules(root, ['virtio_blk'])).toEqual(['virtio_blk'])
  })

  it('are none where there is no kernel', async () => {
    expect(await missingModules(root, ['virtio_blk'])).toEqual(['virtio_blk'])
  })
})

describe('drivers of a device', () => {
  it('are none for what has no hardware', async () => {
    expect(await driversOf('/sys/class/net/lo')).toEqual([])
    expect(await driversOf('/sys/class/net/none-such')).toEqual([])
  })
})
