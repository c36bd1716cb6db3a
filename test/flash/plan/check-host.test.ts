/** Refusals about the host itself, runs under way, and who could log in afterwards. */

import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { armedText, rescueEntry } from '../../../src/flash/boot/grub-arm.ts'
import {
  armOf,
  checkGrub,
  checkStartsGrub,
  checkStartsNothing,
  type GrubFacts,
  readGrub,
  readStartSector,
} from '../../../src/flash/plan/check-boot.ts'
import {
  checkHost,
  checkLogin,
  checkNothingUnderWay,
  checkReachable,
  checkSystem,
  checkWatchdog,
} from '../../../src/flash/plan/check-host.ts'
import { holdReplacement } from '../../../src/flash/plan/run-state.ts'
import { makeScratch } from '../../../src/system/scratch.ts'
import { disk, refusal } from './fixtures.ts'

const host = { isRoot: true, architecture: 'x86_64' }

describe('the host', () => {
  it('is a real one, seen by root', () => {
    expect(() => checkHost(host)).not.toThrow()
    expect(refusal(() => checkHost({ ...host, isRoot: false })).message).toContain('only root')
    const inside = refusal(() => checkHost({ ...host, container: 'docker' }))
    expect(inside.code).toBe('refused')
    expect(inside.message).toContain('a container (docker)')
    const arm = refusal(() => checkHost({ ...host, architecture: 'aarch64' }))
    expect(arm.message).toContain('aarch64 is not supported')
    expect(() => checkHost({ ...host, firmwareBits: 64 })).not.toThrow()
    expect(refusal(() => checkHost({ ...host, firmwareBits: 32 })).message).toContain('32 bits')
  })

  it('is not the rescue', () => {
    expect(() => checkSystem('first-os')).not.toThrow()
    expect(() => checkSystem('target')).not.toThrow()
    expect(refusal(() => checkSystem('rescue')).hints).toEqual(['osflash status'])
  })

  it.each(['armed', 'rehearsal', 'committed', 'trial', 'held'] as const)(
    'is refused while a run is %s',
    (state) => {
      expect(refusal(() => checkNothingUnderWay(state)).message).toContain(`it is ${state}`)
    },
  )

  it.each([undefined, 'staging', 'staged', 'aborted', 'confirmed'] as const)(
    'is taken when an earlier run is %s',
    (state) => {
      expect(() => checkNothingUnderWay(state)).not.toThrow()
    },
  )

  it('goes to one process at a time, and is free again afterwards', async () => {
    // Other tests on this machine have hosts of their own.
    const name = `host ${randomUUID()}`
    {
      await using _held = await holdReplacement(name)
      await expect(holdReplacement(name)).rejects.toMatchObject({
        code: 'refused',
        message: 'replacing the operating system: another osflash is at it',
      })
    }
    await using _again = await holdReplacement(name)
  })

  it('has a watchdog, or the word that none is needed', () => {
    expect(() => checkWatchdog({ watchdog: 'iTCO_wdt' }, false)).not.toThrow()
    expect(() => checkWatchdog({}, true)).not.toThrow()
    const error = refusal(() => checkWatchdog({}, false))
    expect(error.hints.join()).toContain('--accept-no-watchdog')
  })
})

describe('the carry', () => {
  const ethernet = {
    kind: 'ethernet' as const,
    name: 'eth0',
    mac: '52:54:00:00:00:01',
    macIsPermanent: true,
    dhcp4: false,
    dhcp6: false,
    acceptRouterAdvertisements: false,
    addresses: [],
    routes: [],
    dnsServers: [],
    dnsDomains: [],
  }

  it('holds a key for root', () => {
    expect(() => checkLogin({ rootKeys: 1 })).not.toThrow()
    expect(refusal(() => checkLogin({ rootKeys: 0 })).message).toContain('no authorized key')
  })

  it('holds an address, or a way to get one', () => {
    const address = { family: 'inet' as const, cidr: '192.0.2.1/24' }
    for (const one of [
      { ...ethernet, dhcp4: true },
      { ...ethernet, acceptRouterAdvertisements: true },
      { ...ethernet, addresses: [address] },
    ]) {
      expect(() => checkReachable({ interfaces: [ethernet, one] })).not.toThrow()
    }
    expect(refusal(() => checkReachable({ interfaces: [ethernet] })).code).toBe('refused')
    expect(refusal(() => checkReachable({ interfaces: [] })).code).toBe('refused')
  })
})

describe('the boot loader under BIOS', () => {
  const block = Buffer.alloc(1_024, '#')
  block.write('# GRUB Environment Block\n')
  const config = `
if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
   set next_entry=
   save_env next_entry
fi
set timeout=5
source $prefix/custom.cfg
`
  const grub: GrubFacts = {
    folder: '/boot/grub',
    texts: { config, custom: undefined, environment: block },
    fileSystem: 'ext4',
    isPlain: true,
    disks: ['vda'],
  }
  const vda = disk('vda')

  it('is a GRUB that starts another entry once', () => {
    expect(() => checkGrub(grub, vda)).not.toThrow()
    expect(armOf('bios', grub)).toEqual({ kind: 'grub', folder: '/boot/grub' })
    expect(armOf('uefi', undefined)).toEqual({ kind: 'boot-next' })
  })

  it.each<[Partial<GrubFacts>, string]>([
    [{ fileSystem: 'btrfs' }, 'GRUB cannot write to it, it lies on btrfs'],
    [{ isPlain: false }, 'GRUB cannot write to it, it lies on RAID, LVM or an encrypted volume'],
    [{ disks: ['vdc'] }, 'it lies on vdc, not on /dev/vda'],
    [{ texts: { ...grub.texts, environment: undefined } }, 'there is no grubenv'],
    [{ texts: { ...grub.texts, config: 'menuentry x { }' } }, 'grub.cfg does not load grubenv'],
  ])('is refused: %o', (change, words) => {
    const error = refusal(() => checkGrub({ ...grub, ...change }, vda))
    expect(error.code).toBe('refused')
    expect(error.message).toContain(`checking the boot loader in /boot/grub: ${words}`)
    expect(error.hints).toHaveLength(1)
  })

  it('may have the entry of a run that was cut here, and of none else', () => {
    const start = { kernel: '/vmlinuz', initrd: undefined, commandLine: 'ro', rootUuid: '1b2c' }
    const custom = armedText('# of the administrator\n', rescueEntry(start))
    const armed = { ...grub, texts: { ...grub.texts, custom } }
    expect(() => checkGrub(armed, vda, true)).not.toThrow()
    const message = refusal(() => checkGrub(armed, vda)).message
    expect(message).toContain('custom.cfg already has an entry of osflash')
    const moved = { ...armed, texts: { ...armed.texts, custom: `${custom}set default=1\n` } }
    expect(refusal(() => checkGrub(moved, vda, true)).message).toContain('a default of its own')
  })

  it('is refused where there is none', async () => {
    expect(await readGrub({ mounts: [] })).toBeUndefined()
    expect(refusal(() => checkGrub(undefined, vda)).message).toContain('there is no GRUB')
  })
})

describe('what the BIOS starts', () => {
  /** A sector 0 with boot code. */
  function sector0(changes: Readonly<Record<number, readonly number[]>> = {}) {
    const bytes = Buffer.alloc(512)
    bytes.set([0xeb, 0x63, 0x90])
    bytes[0x64] = 0xff
    bytes.write('GRUB', 0x180)
    bytes.set([0x55, 0xaa], 510)
    for (const [at, some] of Object.entries(changes)) bytes.set(some, Number(at))
    return { path: '/dev/vda', sector0: bytes }
  }

  it('is GRUB on the disk that is replaced', () => {
    expect(() => checkStartsGrub(sector0())).not.toThrow()
    expect(() => checkStartsGrub(sector0({ 100: [0x80] }))).not.toThrow()
  })

  it.each([
    ['another boot loader', { 384: [0, 0, 0, 0] }],
    ['GRUB of another drive, as our guard is', { 100: [0x81] }],
    ['nothing', { 510: [0, 0] }],
  ])('is refused when it is %s', (_, changes) => {
    const error = refusal(() => checkStartsGrub(sector0(changes)))
    expect(error.code).toBe('refused')
    expect(error.message).toContain('sector 0 of /dev/vda has no GRUB')
    expect(error.hints.join()).toContain('grub-install /dev/vda')
  })

  it('is not the stage, unless an earlier run made it one', () => {
    const error = refusal(() => checkStartsNothing(sector0(), false))
    expect(error.message).toContain('checking the stage /dev/vda: it has boot code')
    expect(error.hints.join()).toContain('dd if=/dev/zero of=/dev/vda bs=440 count=1')
    const table = Buffer.alloc(512)
    table.set([0x55, 0xaa], 510)
    expect(() => checkStartsNothing(sector0(), true)).not.toThrow()
    expect(() => checkStartsNothing(sector0({ 510: [0, 0] }), false)).not.toThrow()
    expect(() => checkStartsNothing({ path: 'a', sector0: table }, false)).not.toThrow()
    expect(() => checkStartsNothing({ path: 'a', sector0: Buffer.alloc(512) }, false)).not.toThrow()
  })

  it('is read from the disk', async () => {
    await using scratch = await makeScratch('start-sector')
    const path = join(scratch.path, 'disk')
    await writeFile(path, Buffer.concat([sector0().sector0, Buffer.alloc(512, 1)]))
    const read = await readStartSector({ path })
    expect(Buffer.compare(read.sector0, sector0().sector0)).toBe(0)
    await expect(readStartSector({ path: `${path}.none` })).rejects.toMatchObject({ code: 'io' })
  })
})
