import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { run } from '../../src/system/run.ts'
import { makeScratch } from '../../src/system/scratch.ts'
import { debugfs, partitionNamed } from './disk-file.ts'
import type { FirstVariant } from './first-os.ts'
import { expectReplaced } from './replaced.ts'
import { beginWith, bootFirstOs, takeOver, timeTable } from './takeover.ts'

const LOADER = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi'

/** Puts systemd-boot, kernel and initramfs into the ESP; GRUB goes away. */
async function changeLoader(disk: string): Promise<void> {
  await using scratch = await makeScratch('e2e-systemd-boot')
  const root = await partitionNamed(disk, 'root')
  const esp = await partitionNamed(disk, 'esp')
  const listed = await debugfs(disk, root, ['ls -p /boot'])
  const named = (prefix: string): string => {
    const name = listed.split('/').find((text) => text.startsWith(prefix))
    if (name === undefined) throw new Error(`no ${prefix} in /boot`)
    return name
  }
  const uuid = /UUID=(\S+)/.exec(await debugfs(disk, root, ['cat /boot/grub/grub.cfg']))?.[1]
  const tree = join(scratch.path, 'esp')
  await mkdir(join(tree, 'loader/entries'), { recursive: true })
  await mkdir(join(tree, 'EFI/BOOT'), { recursive: true })
  await debugfs(disk, root, [
    `dump ${LOADER} ${tree}/EFI/BOOT/BOOTX64.EFI`,
    `dump /boot/${named('vmlinuz-')} ${tree}/linux`,
    `dump /boot/${named('initrd.img-')} ${tree}/initrd`,
    'rm /boot/grub/grub.cfg',
  ])
  await writeFile(join(tree, 'loader/loader.conf'), 'default first\ntimeout 1\n')
  await writeFile(
    join(tree, 'loader/entries/first.conf'),
    `title first\nlinux /linux\ninitrd /initrd\n` +
      `options root=UUID=${uuid} ro console=ttyS0,115200\n`,
  )
  const image = `${disk}@@${esp.offset}`
  await run(['mdeltree', '-i', image, '::/EFI'])
  for (const name of ['EFI', 'loader', 'linux', 'initrd']) {
    await run(['mcopy', '-s', '-o', '-i', image, join(tree, name), '::/'])
  }
}

const FIRST: FirstVariant = {
  name: 'systemd-boot',
  packages: ['systemd-boot-efi'],
  change: changeLoader,
}

test('a first OS with systemd-boot is replaced; an operator confirms', async () => {
  await using began = await beginWith({ name: 'systemd-boot', firmware: 'uefi', variant: FIRST })
  await bootFirstOs(began)
  const { host } = began
  const images = { ...began.images, confirm: 'ssh' }
  expect(await host.ssh('ls /boot/efi/loader/entries /boot/grub')).toContain('first.conf')
  const takeover = await takeOver({ ...began, images })
  console.log(`systemd-boot\n${timeTable(takeover.times)}`)
  await expectReplaced({ host, takeover, images })
})
