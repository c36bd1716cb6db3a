/** The plan as an operator reads it. */
import { describe, expect, it } from 'vitest'
import { renderFlashPlan } from '../../src/cli/flash-plan-text.ts'
import { GIB } from '../../src/units.ts'
import { flashPlan } from '../flash/flash-plan.ts'

const full = flashPlan({
  victims: [
    { path: '/dev/vda1', bytes: GIB, content: 'ext4', label: 'root', mountPoint: '/' },
    { path: '/dev/vda2', bytes: GIB, content: 'swap', mountPoint: 'none' },
    { path: '/dev/mapper/vg-data', bytes: GIB, content: 'xfs' },
  ],
  carry: {
    hostname: 'web-1',
    interfaces: [
      { name: 'eth0', mac: '52:54:00:00:00:01', addresses: ['192.0.2.7/24'], dhcp: [] },
      { name: 'eth1', mac: '52:54:00:00:00:02', addresses: [], dhcp: ['IPv4', 'IPv6'] },
      { name: 'eth2', mac: '52:54:00:00:00:03', addresses: [], dhcp: [] },
    ],
    gateways: ['192.0.2.1'],
    hostKeys: ['SHA256:abc'],
    rootKeys: 2,
    hasRootPassword: true,
  },
  watchdog: 'iTCO_wdt',
  notify: 'https://hooks.example/secret-token',
  steps: [{ what: 'unpack the rescue', seconds: 20 }],
  risks: ['something remains'],
})

describe('the text of a plan', () => {
  it('says all that matters, what is erased first', () => {
    expect(renderFlashPlan(full)).toMatchInlineSnapshot(`
      "web-1: Debian GNU/Linux 12 (bookworm) becomes debian-13

      erased:
        disk   DISK-1  8.00 GiB (/dev/vda), with everything on it
          /dev/vda1  1.00 GiB  ext4  label root  on /
          /dev/vda2  1.00 GiB  swap
          /dev/mapper/vg-data  1.00 GiB  xfs
        stage  STAGE-1  8.00 GiB (/dev/vdb), with everything on it
          (blank)

      written:
        stage  rescue rescue, sequence 1: 300 MiB packed, 1.00 GiB to write
               from https://images.example/rescue.osimg
        stage  store of 4.00 GiB: the packed target, the carry, the journal
        disk   target debian-13, sequence 1: 300 MiB packed, 1.00 GiB to write
               from https://images.example/debian-13.osimg

      started:
        rescue   once, by next_entry of the GRUB in /boot/grub
                 else this system starts again
        go       by itself, when the rescue is reached as this host is
        guard    sector 0 of the disk starts the boot loader of the stage
                 from here on every boot ends in the rescue: the point of no return
        target   once, on trial, by the boot loader of the stage
                 else the rescue starts and holds, with SSH open
        confirm  the target itself, within 10 min 00 s; else the rescue

      carried:
        hostname   web-1
        network    eth0 (52:54:00:00:00:01): 192.0.2.7/24
        network    eth1 (52:54:00:00:00:02): IPv4 and IPv6 as offered
        network    eth2 (52:54:00:00:00:03): no address
        gateway    192.0.2.1 must answer as it does now
        host key   SHA256:abc
        root       2 authorized keys, and the password

      time:
        20.0 s       unpack the rescue
        about 20.0 s in all, 5 min 00 s of it away
        a system that hangs once it has opened the watchdog iTCO_wdt is reset;
        a hang before a system has opened the watchdog stays until a reset
        each state is told to hooks.example

      at risk:
        something remains
      "
    `)
  })

  it('takes no disk for a partition of another', () => {
    const other = { path: '/dev/vdbb1', bytes: GIB, content: 'ext4' }
    const text = renderFlashPlan(flashPlan({ victims: [other] }))
    expect(text).toMatch(/stage .*\n {4}\(blank\)/)
  })

  it('shows no token of --notify', () => {
    const text = renderFlashPlan(full)
    expect(text).toContain('each state is told to hooks.example')
    expect(text).not.toContain('secret-token')
  })

  it('says how UEFI is told, and what waits for an operator', () => {
    const text = renderFlashPlan(
      flashPlan({
        host: { ...full.host, firmware: 'uefi' },
        arm: { kind: 'boot-next' },
        go: { how: 'ssh', withinSeconds: 900 },
        confirm: { how: 'none', withinSeconds: 600 },
      }),
    )
    expect(text).toContain('rescue   once, by BootNext of the firmware')
    expect(text).toContain('osflash go in the rescue, within 15 min 00 s; else back here')
    expect(text).toContain('nobody: the target counts as good before it starts')
    expect(text).toContain('the rescue is first in BootOrder')
    expect(text).toContain('(blank)')
  })
})
