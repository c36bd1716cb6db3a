import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { bootFiles, planBoot } from '../../../src/pack/build/boot-files.ts'
import { recipeSchema } from '../../../src/pack/recipe/schema.ts'
import { makeScratch } from '../../../src/system/scratch.ts'

const recipeOf = (more: Readonly<Record<string, unknown>> = {}) =>
  recipeSchema.parse({ name: 'a', source: { directory: '/tree' }, ...more })

async function rootWith(names: readonly string[]) {
  const root = await makeScratch('boot-files')
  await mkdir(join(root.path, 'boot'))
  for (const name of names) await writeFile(join(root.path, 'boot', name), '')
  return root
}

test('the command line names the root, the consoles, and what the recipe adds', async () => {
  await using root = await rootWith(['vmlinuz-6.1', 'initrd.img-6.1'])
  const recipe = recipeOf({ customise: { 'kernel-command-line': 'panic=30 oops=panic' } })
  expect(await planBoot(recipe, root.path, 'some-uuid')).toEqual({
    kernels: [{ version: '6.1', kernel: '/boot/vmlinuz-6.1', initrd: '/boot/initrd.img-6.1' }],
    commandLine: 'root=UUID=some-uuid ro console=tty0 console=ttyS0,115200 panic=30 oops=panic',
  })
})

test('firmware without a kernel to start is refused, no firmware is not', async () => {
  await using root = await rootWith(['grub'])
  await expect(planBoot(recipeOf(), root.path, 'u')).rejects.toMatchObject({
    code: 'refused',
    hints: ['add linux-image-amd64 to source.debian.packages', 'or set firmware: []'],
  })
  expect((await planBoot(recipeOf({ firmware: [] }), root.path, 'u')).kernels).toEqual([])
})

test('a root without /boot is one without a kernel', async () => {
  await using root = await makeScratch('boot-files')
  expect((await planBoot(recipeOf({ firmware: [] }), root.path, 'u')).kernels).toEqual([])
})

test('a /boot that is a link is looked for in the root, not on this machine', async () => {
  await using root = await makeScratch('boot-files')
  await mkdir(join(root.path, 'srv/boot'), { recursive: true })
  await writeFile(join(root.path, 'srv/boot/vmlinuz-6.1'), '')
  await symlink('/srv/boot', join(root.path, 'boot'))
  const { kernels } = await planBoot(recipeOf(), root.path, 'u')
  expect(kernels.map(({ version }) => version)).toEqual(['6.1'])
})

test('fstab has a line for what is mounted, and mount points are made', async () => {
  await using root = await rootWith(['vmlinuz-1'])
  const recipe = recipeOf({ os: { title: 'Test' } })
  const plan = await planBoot(recipe, root.path, 'ROOT')
  const files = bootFiles(recipe, plan, [
    { recipe: { role: 'bios-boot', grow: false }, uuid: undefined },
    { recipe: { role: 'esp', grow: false }, uuid: 'ESP' },
    { recipe: { role: 'swap', grow: false, size: '1MiB' }, uuid: 'SWAP' },
    { recipe: { role: 'other', grow: false, name: 'unmounted' }, uuid: 'OTHER' },
    {
      recipe: {
        role: 'other',
        grow: false,
        name: 'data',
        mount: '/srv/data',
        'file-system': 'xfs',
        'mount-options': 'noatime',
      },
      uuid: 'DATA',
    },
    { recipe: { role: 'root', grow: true, 'mount-options': 'noatime' }, uuid: 'ROOT' },
  ])
  const text = (path: string) => {
    const body = files.find((file) => file.path === path)?.body
    return body?.kind === 'text' ? body.text : undefined
  }
  expect(text('/etc/fstab')).toMatchInlineSnapshot(`
    "# Made by osflash (partition names: bios-boot, esp, swap, unmounted, data, root)
    UUID=ESP /boot/efi vfat umask=0077,nofail 0 2
    UUID=SWAP none swap sw 0 0
    UUID=DATA /srv/data xfs noatime 0 0
    UUID=ROOT / ext4 noatime,x-systemd.growfs 0 1
    "
  `)
  expect(text('/boot/grub/grub.cfg')).toContain("menuentry 'Test, Linux 1'")
  expect(parseGrubEnvironment(Buffer.from(text('/boot/grub/grubenv') ?? '')).size).toBe(0)
  expect(text('/etc/default/grub.d/osflash.cfg')).toContain(
    'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200"',
  )
  const folders = files.filter(({ body }) => body.kind === 'folder').map(({ path }) => path)
  expect(folders).toEqual(['/boot/efi', '/srv/data'])
})
