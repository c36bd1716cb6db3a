import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { run } from '../../../src/system/run.ts'
import {
  DIGEST,
  GATEWAY,
  GUARD_CODE,
  hasProgram,
  listAll,
  makeTrialHost,
  OWN_CODE,
  TABLE_ID,
} from './trial-host.ts'

const AGENT = '/usr/lib/osflash/trial'
const isRoot = process.getuid?.() === 0
const hasBusybox = await hasProgram('busybox')
const hasSshd = await hasProgram('sshd')
const WANTS = 'etc/systemd/system/sysinit.target.wants'
const GRUB = '\tlinux /vmlinuz root=UUID=1 ro quiet\n'

const shells = [
  { shell: 'dash', isThere: true },
  { shell: 'busybox', isThere: hasBusybox },
] as const

describe.each(shells)('needs root: in $shell', ({ shell, isThere }) => {
  const can = isRoot && isThere

  test.skipIf(!can)('an operator confirms: boot code, store, secrets, grub.cfg', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    const before = await host.sector0()
    expect(before.subarray(0, 440)).toEqual(GUARD_CODE)
    expect(await listAll(join(host.root, WANTS))).toEqual(['osflash-trial.service'])
    const { status, stdout, stderrTail } = await host.agent('confirm')
    expect({ status, stdout, stderrTail }).toEqual({
      status: 0,
      stdout: 'osflash: confirmed: the next boot is this system\n',
      stderrTail: '',
    })
    const after = await host.sector0()
    expect(after.subarray(0, 440)).toEqual(OWN_CODE)
    expect(after.subarray(440)).toEqual(before.subarray(440))
    await host.withStore(async (store) => {
      expect(await readFile(join(store, 'confirmed'), 'utf8')).toBe(`${DIGEST}\n`)
      expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
    })
    const grub = join(host.root, 'boot/grub')
    expect(await listAll(grub)).toEqual(['grub.cfg'])
    expect(await readFile(join(grub, 'grub.cfg'), 'utf8')).toBe(GRUB)
    const left = await listAll(join(host.root, 'var/lib/osflash'))
    expect(left).toEqual(['sector0.img', 'sequences.json'])
    expect(await listAll(join(host.root, WANTS))).toEqual([])
    expect(await listAll(join(host.root, 'etc/systemd/system.conf.d'))).toEqual([])
    expect(await host.reboots()).toBe('')
  })

  test.skipIf(!can)('the secrets are overwritten, not only removed', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    const store = join(host.root, '../store')
    expect((await readFile(store)).includes('SECRETSECRET')).toBe(true)
    await host.agent('confirm')
    expect((await readFile(store)).includes('SECRET')).toBe(false)
  })

  test.skipIf(!can)('a secret that stays leaves no other, and nothing of the trial', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    // Stands for a bad sector.
    const hold = (how: '+i' | '-i') =>
      host.withStore(async (store) => {
        await run(['chattr', how, join(store, 'target.session-key')])
        await run(['chattr', how, join(store, 'carry/with space')])
      })
    await hold('+i')
    const { status, stderrTail } = await host.agent('confirm')
    expect(status).toBe(1)
    const reason = (name: string) => `${name} is not erased from the store`
    expect(stderrTail).toContain(`${reason('target.session-key')}; ${reason('carry')}\n`)
    await host.withStore(async (store) => {
      const key = await readFile(join(store, 'carry/ssh/ssh_host_ed25519_key'), 'utf8')
      expect(key).not.toContain('SECRET')
      expect(await readFile(join(store, 'confirmed'), 'utf8')).toBe(`${DIGEST}\n`)
    })
    expect(await readFile(join(host.root, 'boot/grub/grub.cfg'), 'utf8')).toBe(GRUB)
    expect(await listAll(join(host.root, 'etc/systemd/system.conf.d'))).toEqual([])
    // The next boot tries again.
    expect(await listAll(join(host.root, WANTS))).toEqual(['osflash-trial.service'])
    await hold('-i')
    expect((await host.agent('confirm')).status).toBe(0)
    await host.withStore(async (store) => {
      expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
    })
    expect(await listAll(join(host.root, WANTS))).toEqual([])
  })

  test.skipIf(!can)('confirming again is no error and changes nothing', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    await host.agent('confirm')
    const after = await host.sector0()
    expect((await host.agent('confirm')).status).toBe(0)
    expect((await host.sector0()).equals(after)).toBe(true)
  })

  test.skipIf(!can)('confirming weeks later leaves the boot code of then', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    await host.agent('confirm')
    // Gone at the next boot.
    await rm(join(host.root, 'run/osflash/confirmed'))
    const newer = Buffer.alloc(440, 'newer boot loader')
    await run(['dd', `of=${host.disk}`, 'bs=440', 'count=1', 'conv=notrunc,fsync'], {
      stdin: newer,
    })
    const { status, stdout } = await host.agent('confirm')
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'osflash: confirmed already\n' })
    expect((await host.sector0()).subarray(0, 440)).toEqual(newer)
  })

  test.skipIf(!can)('an MBR disk is known by its identifier', async () => {
    const table = 'label: dos\nlabel-id: 0x1234abcd\nsize=4M\n'
    const boot = { variables: { TABLE_ID: '1234abcd' } }
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh'), table, boot })
    expect((await host.agent('confirm')).stderrTail).toBe('')
    expect((await host.sector0()).subarray(0, 440)).toEqual(OWN_CODE)
  })

  test.skipIf(!can)(
    'a disk with another table is not touched, and the reason is told',
    async () => {
      const boot = { variables: { TABLE_ID: '00000000-0000-4000-8000-000000000000' } }
      await using host = await makeTrialHost({ shell, plan: confirmBy('ssh'), boot })
      const before = await host.sector0()
      const { status, stderrTail } = await host.agent('confirm')
      expect(status).toBe(1)
      expect(stderrTail).toContain(
        `osflash: not confirmed: ${host.disk} has the table id ${TABLE_ID}, not 0000`,
      )
      expect((await host.sector0()).equals(before)).toBe(true)
      await host.withStore(async (store) => {
        const left = await listAll(store)
        expect(left).toContain('target.session-key')
        expect(left).not.toContain('confirmed')
      })
      expect(await listAll(join(host.root, WANTS))).toEqual(['osflash-trial.service'])
    },
  )

  test.skipIf(!can)('a sector that is no sector is not written', async () => {
    const files = [{ path: '/var/lib/osflash/sector0.img', bytes: Buffer.alloc(511) }]
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh'), boot: { files } })
    expect((await host.agent('confirm')).stderrTail).toContain('does not have 512 bytes')
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
  })

  test.skipIf(!can)('without its store nothing is confirmed', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    await host.loseStore()
    const { status, stderrTail } = await host.agent('confirm')
    expect(status).toBe(1)
    expect(stderrTail).toMatch(/not confirmed: the store [0-9a-f-]{36} is not there/)
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
  })

  test.skipIf(!can)('no gateway and no sshd: told on the store, then the reboot', async () => {
    await using host = await makeTrialHost({
      shell,
      plan: confirmBy('auto'),
      neighbour: '10.9.9.77',
    })
    expect((await host.agent('run')).status).toBe(1)
    const log = await host.withStore((store) => readFile(join(store, 'trial.log'), 'utf8'))
    expect(log).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ /)
    expect(log).toContain('gateway 10.9.9.1 does not answer')
    expect(log).not.toContain('no default route')
    expect(log).toContain('no sshd answers at port 22')
    expect(log).not.toContain('is not up')
    expect(await host.reboots()).toBe('systemctl reboot\nreboot -f -n\n')
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
  })

  test.skipIf(!can)(
    'a cut after the boot code: the next boot finishes without checks',
    async () => {
      await using host = await makeTrialHost({ shell, plan: confirmBy('auto') })
      await run(['dd', `of=${host.disk}`, 'bs=440', 'count=1', 'conv=notrunc,fsync'], {
        stdin: OWN_CODE,
      })
      await writeFile(join(host.root, 'var/lib/osflash/confirming'), DIGEST)
      expect((await host.agent('run')).status).toBe(0)
      await host.withStore(async (store) => {
        expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
      })
      expect(await host.reboots()).toBe('')
    },
  )

  test.skipIf(!can)('a cut before the boot code: everything is checked again', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('auto') })
    await writeFile(join(host.root, 'var/lib/osflash/confirming'), DIGEST)
    expect((await host.agent('run')).status).toBe(1)
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
  })

  test.skipIf(!can)('a grub.cfg that was made anew meanwhile stays', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    const grub = join(host.root, 'boot/grub')
    await writeFile(join(grub, 'grub.cfg'), 'linux /vmlinuz-newer\n')
    expect((await host.agent('confirm')).status).toBe(0)
    expect(await listAll(grub)).toEqual(['grub.cfg'])
    expect(await readFile(join(grub, 'grub.cfg'), 'utf8')).toBe('linux /vmlinuz-newer\n')
  })

  test.skipIf(!can)('two that confirm at once do not disturb each other', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    const agent = `${AGENT} confirm`
    const { stdout, stderrTail } = await host.script('-c', `${agent} & ${agent} & wait`)
    expect(stderrTail).toBe('')
    expect(stdout.match(/confirmed/g)).toHaveLength(2)
    await host.withStore(async (store) => {
      expect(await listAll(store)).toEqual(['confirmed', 'lost+found'])
    })
  })

  const canSsh = can && hasSshd
  test.skipIf(!canSsh)('needs sshd: all holds, so it confirms by itself', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('auto'), sshd: 'old key' })
    const { status, stdout } = await host.agent('run')
    expect({ status, stdout }).toMatchObject({ status: 0 })
    expect(stdout).toContain('osflash: confirmed')
    expect((await host.sector0()).subarray(0, 440)).toEqual(OWN_CODE)
  })

  test.skipIf(!canSsh)('needs sshd: a host of DHCP is proven at the address it got', async () => {
    const reach = { addresses: [], gateways: [GATEWAY] }
    await using host = await makeTrialHost({
      shell,
      plan: confirmBy('auto'),
      sshd: 'old key',
      reach,
    })
    expect((await host.agent('run')).status).toBe(0)
  })

  test.skipIf(!canSsh)('needs sshd: with ssh nobody but an operator confirms', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh'), sshd: 'old key' })
    expect((await host.agent('run')).status).toBe(1)
    const log = await host.withStore((store) => readFile(join(store, 'trial.log'), 'utf8'))
    expect(log.slice(21)).toBe('nobody ran osflash-confirm within 0 seconds\n')
    expect(await host.reboots()).toContain('systemctl reboot\n')
    expect((await host.sector0()).subarray(0, 440)).toEqual(GUARD_CODE)
  })

  test.skipIf(!canSsh)('needs sshd: a gateway that no route leads to is not enough', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('auto'), sshd: 'old key' })
    const { status, stdout } = await host.script('-c', `ip route del default; ${AGENT} run`)
    expect({ status, stdout }).toMatchObject({ status: 1 })
    const log = await host.withStore((store) => readFile(join(store, 'trial.log'), 'utf8'))
    expect(log.slice(21)).toBe(`no default route leads to the gateway ${GATEWAY}\n`)
  })

  test.skipIf(!canSsh)('needs sshd: another host key is not confirmed', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('auto'), sshd: 'new key' })
    expect((await host.agent('run')).status).toBe(1)
    const log = await host.withStore((store) => readFile(join(store, 'trial.log'), 'utf8'))
    expect(log.slice(21)).toBe('sshd shows none of the old host keys\n')
  })

  test.skipIf(!canSsh)('needs sshd: with the stage dead this system stays', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('auto'), sshd: 'old key' })
    await host.loseStore()
    const { status, stdout } = await host.agent('run')
    expect(status).toBe(1)
    expect(stdout).toContain('not rebooting')
    expect((await host.sector0()).subarray(0, 440)).toEqual(OWN_CODE)
    expect(await host.reboots()).toBe('')
  })

  test.skipIf(!canSsh)('needs sshd: proven once, it stays when the stage is dead', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh'), sshd: 'old key' })
    await host.loseStore()
    expect((await host.agent('run')).stdout).toContain('not rebooting')
    // Its unit starts the agent again; the gateway may be gone for two minutes by then.
    const { stdout } = await host.script('-c', `ip addr flush dev host0; ${AGENT} run`)
    expect(stdout).toContain('is not up')
    expect(stdout).toContain('not rebooting')
    expect(await host.reboots()).toBe('')
  })

  test.skipIf(!can)('never proven, it goes even where the stage is dead', async () => {
    await using host = await makeTrialHost({ shell, plan: confirmBy('ssh') })
    await host.loseStore()
    expect((await host.agent('run')).status).toBe(1)
    expect(await host.reboots()).toContain('systemctl reboot\n')
  })
})

/** One round of checks is enough: what does not hold now will not hold later. */
function confirmBy(how: 'auto' | 'ssh') {
  return { confirm: { how, withinSeconds: 0 } } as const
}
