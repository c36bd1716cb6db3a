import { expect, test } from 'vitest'
import { stageBootFiles, stageConfig } from '../../../src/flash/boot/stage-config.ts'
import { parseGrubEnvironment } from '../../../src/format/grub-environment.ts'
import { run } from '../../../src/system/run.ts'

const REBOOTING = ' panic=30 oops=panic watchdog.open_timeout=120 watchdog.stop_on_reboot=0 '

const entry = {
  kernel: '/boot/vmlinuz-6.12',
  initrd: '/boot/initrd.img-6.12',
  commandLine: 'root=UUID=u ro console=ttyS0,115200 panic=0',
}

test('the configuration of the stage: trial once, else the rescue, else a reboot', () => {
  const config = stageConfig({ ...entry, commandLine: 'ro panic=0' })
  expect(config).toContain(REBOOTING)
  expect(config.replace(REBOOTING, ' … ')).toMatchInlineSnapshot(`
    "# Made by osflash; docs/apply.md says what it does.
    set stage=$root
    if serial --unit=0 --speed=115200; then
      terminal_output console serial
    fi
    if [ "$grub_platform" = pc ]; then
      echo "osflash: guard"
    fi
    set trial=
    load_env --file ($stage)/boot/grub/osflash.env trial
    if [ "$trial" = 1 ]; then
      set trial=0
      if save_env --file ($stage)/boot/grub/osflash.env trial; then
        set trial=
        load_env --file ($stage)/boot/grub/osflash.env trial
        if [ "$grub_platform" != pc ]; then
          echo "osflash: no trial from here: the firmware does it"
        elif [ "$trial" != 0 ]; then
          echo "osflash: no trial: its flag stayed"
        elif regexp '^hd0,' "$stage"; then
          echo "osflash: no trial: the stage is the first disk"
        else
          echo "osflash: trial"
          set root=hd0
          if chainloader --force ($stage)/boot/grub/target-sector0.img; then
            boot
          fi
          echo "osflash: the target could not be started"
        fi
      else
        echo "osflash: no trial: its flag cannot be written"
      fi
    fi

    echo "osflash: rescue"
    set root=$stage
    if linux /boot/vmlinuz-6.12 ro … osflash.stage=$root; then
      if initrd /boot/initrd.img-6.12; then
        boot
      fi
    fi
    echo "osflash: the rescue could not be loaded, rebooting"
    sleep 5
    reboot
    "
  `)
})

test.each([
  ['with an initrd', entry],
  ['without', { ...entry, initrd: undefined }],
  ['words that need quotes', { ...entry, commandLine: 'root=LABEL=a dyndbg="x;{y}" $z' }],
])('GRUB takes the configuration %s', async (_, made) => {
  await run(['grub-script-check'], { stdin: Buffer.from(stageConfig(made)) })
})

test('what GRUB would read as its own is quoted, or refused', () => {
  const text = stageConfig({ ...entry, commandLine: 'a="$b;{c}" d=e' })
  expect(text).toContain(
    `linux /boot/vmlinuz-6.12 'a="$b;{c}"' d=e panic=30 oops=panic watchdog.open_timeout=120 `,
  )
  for (const commandLine of ["it's", 'a=ä', 'a=\u0007']) {
    expect(() => stageConfig({ ...entry, commandLine })).toThrow(
      /^writing grub.cfg: a word that GRUB would change/,
    )
  }
})

test('files that are changed later have their length from the beginning', () => {
  const files = stageBootFiles(entry)
  expect(files.map(({ path, bytes }) => [path, path.endsWith('cfg') || bytes.length])).toEqual([
    ['/boot/grub/grub.cfg', true],
    ['/boot/grub/osflash.env', 1024],
    ['/boot/grub/target-sector0.img', 512],
  ])
  const environment = files[1]?.bytes ?? new Uint8Array()
  expect([...parseGrubEnvironment(environment)]).toEqual([['trial', '0']])
})
