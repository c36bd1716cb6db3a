import { expect, test } from 'vitest'
import { grubRefusals } from '../../../src/flash/boot/grub-arm.ts'
import { emptyGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { patchBootImage, patchCore } from '../../../src/pack/build/grub.ts'
import { grubConfig, grubDefaults, kernelsOf } from '../../../src/pack/build/grub-config.ts'
import { run } from '../../../src/system/run.ts'

test('boot code names the sector of the core image and has two NOPs', () => {
  const bootCode = patchBootImage(new Uint8Array(512).fill(0xaa), 0x1_0000_0800)
  expect(bootCode).toHaveLength(440)
  expect(Buffer.from(bootCode).readBigUInt64LE(0x5c)).toBe(0x1_0000_0800n)
  expect([...bootCode.subarray(0x64, 0x69)]).toEqual([0xaa, 0xaa, 0x90, 0x90, 0xaa])
  expect(() => patchBootImage(new Uint8Array(511), 1)).toThrow(RangeError)
})

test('a core image is padded to sectors and lists the ones after its first', () => {
  const core = Buffer.from(patchCore(new Uint8Array(1_025).fill(1), 2048))
  expect(core).toHaveLength(1_536)
  expect(core.readBigUInt64LE(500)).toBe(2049n)
  expect(core.readUInt16LE(508)).toBe(2)
  expect(core.readUInt16LE(510)).toBe(0x820)
  expect([...core.subarray(1_024, 1_026)]).toEqual([1, 0])
})

test('the newest kernel comes first, with its initrd', () => {
  const kernels = kernelsOf([
    'vmlinuz-6.9.1-amd64',
    'vmlinuz-6.12.0-amd64',
    'initrd.img-6.12.0-amd64',
    'config-6.12.0-amd64',
    'grub',
  ])
  expect(kernels).toEqual([
    {
      version: '6.12.0-amd64',
      kernel: '/boot/vmlinuz-6.12.0-amd64',
      initrd: '/boot/initrd.img-6.12.0-amd64',
    },
    { version: '6.9.1-amd64', kernel: '/boot/vmlinuz-6.9.1-amd64', initrd: undefined },
  ])
})

test('grub.cfg finds the root by UUID and starts the first kernel', () => {
  const commandLine = 'root=UUID=u ro quiet'
  const kernels = kernelsOf(['vmlinuz-1', 'initrd.img-1'])
  const text = grubConfig({ title: "Ada's", rootUuid: 'u', commandLine, kernels })
  expect(text).toMatchInlineSnapshot(`
    "if [ -s $prefix/grubenv ]; then
      load_env
    fi
    if [ "\${next_entry}" ]; then
      set default="\${next_entry}"
      set next_entry=
      save_env next_entry
    else
      set default=0
    fi
    set timeout=1
    if serial --unit=0 --speed=115200; then
      terminal_input console serial
      terminal_output console serial
    fi

    menuentry 'Adas, Linux 1' {
      search --no-floppy --fs-uuid --set=root u
      linux /boot/vmlinuz-1 root=UUID=u ro quiet
      initrd /boot/initrd.img-1
    }

    if [ -f \${config_directory}/custom.cfg ]; then
      source \${config_directory}/custom.cfg
    elif [ -z "\${config_directory}" -a -f $prefix/custom.cfg ]; then
      source $prefix/custom.cfg
    fi
    "
  `)
})

test('GRUB takes the menu, and it can be told to start another entry once', async () => {
  const kernels = kernelsOf(['vmlinuz-1', 'initrd.img-1', 'vmlinuz-2'])
  const config = grubConfig({ title: 'a', rootUuid: 'u', commandLine: 'ro quiet', kernels })
  await run(['grub-script-check'], { stdin: Buffer.from(config) })
  expect(grubRefusals({ config, custom: undefined, environment: emptyGrubEnvironment() })).toEqual(
    [],
  )
})

test('what a shell would expand is quoted in the settings of grub-mkconfig', () => {
  expect(grubDefaults('a="$(x)" `y` \\')).toContain(
    'GRUB_CMDLINE_LINUX="a=\\"\\$(x)\\" \\`y\\` \\\\"',
  )
})
