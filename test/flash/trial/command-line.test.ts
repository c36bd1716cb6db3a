import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  addTrialWords,
  savedConfigs,
  TRIAL_WORDS,
  withTrialWords,
} from '../../../src/flash/trial/command-line.ts'
import { makeScratch } from '../../../src/system/scratch.ts'

test('every linux line gets the words, all other lines stay', () => {
  const config = [
    'set timeout=1',
    "menuentry 'linux' {",
    '\tlinux\t/boot/vmlinuz-6 root=UUID=1 ro quiet ',
    '\tinitrd\t/boot/initrd-6',
    '  linuxefi ($root)/vmlinuz',
    '  linux16 /memtest',
    '  # linux /comment',
    '  linux_gfx_mode=keep',
    '}',
  ]
  expect(withTrialWords(config.join('\n'))?.split('\n')).toEqual([
    'set timeout=1',
    "menuentry 'linux' {",
    `\tlinux\t/boot/vmlinuz-6 root=UUID=1 ro quiet ${TRIAL_WORDS} `,
    '\tinitrd\t/boot/initrd-6',
    `  linuxefi ($root)/vmlinuz ${TRIAL_WORDS}`,
    `  linux16 /memtest ${TRIAL_WORDS}`,
    '  # linux /comment',
    '  linux_gfx_mode=keep',
    '}',
  ])
})

test('twice is as once, and without a linux line there is nothing to do', () => {
  const once = withTrialWords('linux /vmlinuz\n') ?? ''
  expect(withTrialWords(once)).toBe(once)
  expect(withTrialWords('set timeout=1\n')).toBeUndefined()
})

test('the file is saved beside itself, and a second time keeps the original', async () => {
  await using root = await makeScratch('command-line')
  const folder = join(root.path, 'boot/grub2')
  await mkdir(folder, { recursive: true })
  // A byte that is no UTF-8: titles may be in any encoding.
  const original = Buffer.from('# \xff\nlinux /vmlinuz\n', 'latin1')
  await writeFile(join(folder, 'grub.cfg'), original)
  await chmod(join(folder, 'grub.cfg'), 0o640)
  expect(await addTrialWords(root.path)).toBeUndefined()
  expect(await addTrialWords(root.path)).toBeUndefined()
  expect((await readdir(folder)).sort()).toEqual(['grub.cfg', 'grub.cfg.osflash'])
  expect(await readFile(join(folder, 'grub.cfg.osflash'))).toEqual(original)
  for (const name of await readdir(folder)) {
    expect((await stat(join(folder, name))).mode & 0o777).toBe(0o640)
  }
  expect(await readFile(join(folder, 'grub.cfg'), 'latin1')).toBe(
    `# \xff\nlinux /vmlinuz ${TRIAL_WORDS}\n`,
  )
})

test('without a grub.cfg the operator is told', async () => {
  await using root = await makeScratch('command-line')
  expect(await addTrialWords(root.path)).toContain('the target has no grub.cfg')
  expect(await readdir(root.path)).toEqual([])
})

test('on trial is a file with the words that has its old self beside it', async () => {
  await using root = await makeScratch('command-line')
  const folder = join(root.path, 'boot/grub')
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'grub.cfg'), 'linux /vmlinuz\n')
  expect(await savedConfigs(root.path)).toEqual([])
  await addTrialWords(root.path)
  const path = '/boot/grub/grub.cfg'
  expect(await savedConfigs(root.path)).toEqual([{ path, isOnTrial: true }])
  // As update-grub makes it anew: the saved one may name a kernel that is gone.
  await writeFile(join(folder, 'grub.cfg'), 'linux /vmlinuz-new\n')
  expect(await savedConfigs(root.path)).toEqual([{ path, isOnTrial: false }])
  // The saved one is all there is then.
  await writeFile(join(folder, 'grub.cfg'), '')
  expect(await savedConfigs(root.path)).toEqual([{ path, isOnTrial: true }])
  await rm(join(folder, 'grub.cfg'))
  expect(await savedConfigs(root.path)).toEqual([{ path, isOnTrial: true }])
})
