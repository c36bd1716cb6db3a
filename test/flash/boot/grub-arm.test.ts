import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  armedEnvironment,
  armedText,
  disarmedEnvironment,
  disarmedText,
  type GrubTexts,
  grubRefusals,
  isArmedEnvironment,
  isArmedText,
  RESCUE_ENTRY,
  rescueEntry,
} from '../../../src/flash/boot/grub-arm.ts'
import {
  changeGrubEnvironment,
  emptyGrubEnvironment,
  parseGrubEnvironment,
} from '../../../src/format/grub-environment.ts'
import { run } from '../../../src/system/run.ts'
import { DEBIAN_GRUB_CFG, FEDORA_GRUB_CFG } from './grub-cfg.ts'

const REBOOTING = ' panic=30 oops=panic watchdog.open_timeout=120 watchdog.stop_on_reboot=0 '

const entry = rescueEntry({
  rootUuid: '1b2c',
  kernel: '/boot/vmlinuz',
  initrd: '/boot/initrd',
  commandLine: 'root=UUID=1b2c ro',
})
const texts: GrubTexts = {
  config: DEBIAN_GRUB_CFG,
  custom: undefined,
  environment: emptyGrubEnvironment(),
}

describe('what is demanded of the first GRUB', () => {
  test.each([
    ['Debian', DEBIAN_GRUB_CFG],
    ['Fedora', FEDORA_GRUB_CFG],
  ])('%s, as grub-mkconfig writes it, has all', (_, config) => {
    expect(grubRefusals({ ...texts, config })).toEqual([])
    expect(grubRefusals({ ...texts, config, custom: 'menuentry a {\n}\n' })).toEqual([])
  })

  test.each([
    ['  load_env\n', '', 'grub.cfg does not load grubenv'],
    ['  load_env\n', '  load_env --file /else/where\n', 'grub.cfg does not load grubenv'],
    [
      /set default=.*next_entry.*/,
      'set default="0"',
      'grub.cfg does not take next_entry as its default',
    ],
    ['save_env next_entry', 'true', 'grub.cfg does not clear next_entry'],
    ['set next_entry=\n', '', 'grub.cfg does not clear next_entry'],
    [/^ *source .*\n/gm, '', 'grub.cfg does not read custom.cfg'],
    ['set timeout=5', 'set timeout=-1', 'grub.cfg waits for a key without end (timeout=-1)'],
  ])('Debian with %j as %j is refused', (from, to, why) => {
    const config = DEBIAN_GRUB_CFG.replace(from, to)
    expect(config).not.toBe(DEBIAN_GRUB_CFG)
    expect(grubRefusals({ ...texts, config })).toEqual([why])
  })

  test('a comment is no command', () => {
    const config = DEBIAN_GRUB_CFG.replace('save_env next_entry', '# save_env next_entry')
    expect(grubRefusals({ ...texts, config })).toEqual(['grub.cfg does not clear next_entry'])
  })

  test('grubenv must be there, be a block, and have room', () => {
    const full = changeGrubEnvironment(emptyGrubEnvironment(), { a: 'x'.repeat(980) })
    expect(grubRefusals({ ...texts, environment: undefined })).toEqual(['there is no grubenv'])
    for (const environment of [full, new Uint8Array(1024), new Uint8Array(0)]) {
      expect(grubRefusals({ ...texts, environment })).toEqual(['grubenv is no environment block'])
    }
  })

  test('custom.cfg must not decide what is started, and must not be armed', () => {
    expect(grubRefusals({ ...texts, custom: 'set default=1\n' })).toEqual([
      'custom.cfg sets a default of its own',
    ])
    expect(grubRefusals({ ...texts, custom: entry })).toHaveLength(1)
  })
})

test('the entry loads the rescue or reboots, and GRUB takes it', async () => {
  expect(entry).toContain(REBOOTING)
  expect(entry.replace(REBOOTING, ' … ')).toMatchInlineSnapshot(`
    "# osflash: begin; made by osflash apply, removed by osflash abort
    menuentry 'osflash rescue' --id osflash-rescue --unrestricted {
      insmod part_gpt
      insmod part_msdos
      insmod ext2
      insmod search_fs_uuid
      insmod linux
      echo "osflash: armed"
      set next_entry=unread
      load_env next_entry
      if [ -z "$next_entry" ]; then
      if search --no-floppy --fs-uuid --set=root 1b2c; then
      if linux /boot/vmlinuz root=UUID=1b2c ro … osflash.first="$prefix" osflash.stage=$root; then
        if initrd /boot/initrd; then
          boot
        fi
      fi
      echo "osflash: the rescue could not be loaded, rebooting"
      sleep 5
      reboot
      fi
      reboot
      fi
      echo "osflash: next_entry stays set, the first OS is started"
      if [ "$osflash_stays" != 1 ]; then
      set osflash_stays=1
      set fallback="0 1"
      fi
    }
    # osflash: end
    "
  `)
  await run(['grub-script-check'], { stdin: Buffer.from(DEBIAN_GRUB_CFG + entry) })
})

const custom = fc.option(fc.stringMatching(/^[a-z #\n]{0,30}$/), { nil: undefined })

test('custom.cfg: arming and disarming gives the same bytes', () => {
  fc.assert(
    fc.property(custom, (before) => {
      const armed = armedText(before, entry)
      expect(isArmedText(armed)).toBe(true)
      expect(armed.startsWith(before ?? '')).toBe(true)
      expect(disarmedText(armed, before)).toBe(before)
      expect(disarmedText(before, before)).toBe(before)
    }),
  )
})

test('custom.cfg: what others added since stays', () => {
  const before = 'menuentry a {\n}\n'
  expect(disarmedText(`${armedText(before, entry)}more\n`, before)).toBe(`${before}more\n`)
  expect(disarmedText(`${armedText(undefined, entry)}more\n`, undefined)).toBe('more\n')
})

const name = fc.stringMatching(/^[a-z_]{1,8}$/)
const variables = fc.dictionary(name, fc.stringMatching(/^[a-z0-9>]{0,9}$/), { maxKeys: 4 })

test('grubenv: arming and disarming gives the same bytes, started or not', () => {
  fc.assert(
    fc.property(variables, fc.boolean(), fc.boolean(), (values, hadNext, started) => {
      const next = hadNext ? { next_entry: '' } : {}
      const before = changeGrubEnvironment(emptyGrubEnvironment(), { ...values, ...next })
      const armed = armedEnvironment(before)
      expect(isArmedEnvironment(armed)).toBe(true)
      // What GRUB leaves when it started the entry.
      const now = started ? changeGrubEnvironment(armed, { next_entry: '' }) : armed
      expect(isArmedEnvironment(now)).toBe(!started)
      expect(Buffer.compare(disarmedEnvironment(now, before), before)).toBe(0)
      expect(Buffer.compare(disarmedEnvironment(before, before), before)).toBe(0)
    }),
  )
})

test('grubenv: what others changed since stays', () => {
  const before = changeGrubEnvironment(emptyGrubEnvironment(), { saved_entry: '0' })
  const others = changeGrubEnvironment(armedEnvironment(before), { saved_entry: '2' })
  const after = parseGrubEnvironment(disarmedEnvironment(others, before))
  expect([...after]).toEqual([['saved_entry', '2']])
  const theirs = changeGrubEnvironment(before, { next_entry: 'memtest' })
  expect(parseGrubEnvironment(disarmedEnvironment(theirs, before)).get('next_entry')).toBe(
    'memtest',
  )
  expect(RESCUE_ENTRY).toBe('osflash-rescue')
})
