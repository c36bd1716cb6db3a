import { expect, test } from 'vitest'
import type { Host } from './host.ts'
import type { FileServer } from './http-server.ts'
import { image, imageFileName, type Variant } from './images.ts'
import { applyDone, bringKeys, startApply, status, waitForState } from './operator.ts'
import { type Began, beginWith, bootFirstOs, LIMIT } from './takeover.ts'

/** Two flashings and five boots; a busy machine needs this long. */
const SLOW = { timeout: 40 * 60_000 } as const
/** From the start of the target's kernel; its network takes 40 to 80 s without KVM. */
const SOUND_WITHIN = 240
const DEAD_WITHIN = 100
/** A trial with everything that belongs to it: two boots and the time to confirm. */
const HELD_WITHIN = LIMIT.flash + LIMIT.boot + SOUND_WITHIN

interface DeadTarget extends Variant {
  readonly says: RegExp
}

/** Moves the host to another address, a moment after it has the right one. */
const MOVE = `cat > /usr/local/sbin/move <<'END'
#!/bin/sh
sleep 2
for path in /sys/class/net/e*; do
  ip addr flush dev "\${path##*/}" scope global
  ip addr add 10.0.2.99/24 dev "\${path##*/}"
done
END
chmod 755 /usr/local/sbin/move
cat > /etc/systemd/system/move.service <<'END'
[Unit]
Wants=network-online.target
After=network-online.target
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/move
[Install]
WantedBy=multi-user.target
END
systemctl enable move.service`

const PANICS: DeadTarget = {
  name: 'panics',
  scripts: [
    `rm /usr/sbin/init; printf '#!/bin/sh\\nexit 1\\n' > /usr/sbin/init`,
    'chmod 755 /usr/sbin/init',
  ],
  says: /did not (start|confirm)/,
}
const NO_SSHD: DeadTarget = {
  name: 'no-sshd',
  scripts: ['systemctl mask ssh.service ssh.socket'],
  says: /ssh/i,
}
const WRONG_ADDRESS: DeadTarget = {
  name: 'wrong-address',
  scripts: [MOVE],
  says: /address|gateway/,
}

test.concurrent(
  'a kernel that panics: the rescue holds; a sound target is let in',
  SLOW,
  async () => {
    await using began = await beginDead('target-dead-0', PANICS, SOUND_WITHIN)
    const { host, server } = began
    await expectHeld(host, PANICS)
    await resumeWith(host, server, { name: '' })
    await host.waitFor('target', { seconds: HELD_WITHIN })
    await waitForState(host, ['confirmed'], LIMIT.confirm)
    expect((await host.ssh('. /etc/os-release; echo $VERSION_ID')).trim()).toBe('13')
  },
)

test.concurrent('no sshd, then a wrong address: the rescue holds each time', SLOW, async () => {
  await using began = await beginDead('target-dead-1', NO_SSHD, DEAD_WITHIN)
  const { host, server } = began
  await expectHeld(host, NO_SSHD)
  await resumeWith(host, server, WRONG_ADDRESS)
  await expectHeld(host, WRONG_ADDRESS)
})

/** A host whose rescue is about to write a dead target. */
async function beginDead(name: string, target: DeadTarget, confirmWithin: number): Promise<Began> {
  const began = await beginWith({ name, firmware: 'bios' }, { target })
  try {
    const { host, images } = began
    await bootFirstOs(began)
    await startApply(host, images, { 'confirm-within': String(confirmWithin) })
    if ((await applyDone(host, LIMIT.staging)) !== 'away') await host.waitForSilence(LIMIT.away)
    await host.waitFor('rescue', { seconds: LIMIT.away })
    return began
  } catch (error) {
    await began[Symbol.asyncDispose]()
    throw error
  }
}

async function expectHeld(host: Host, dead: DeadTarget): Promise<void> {
  const latest = host.seen.findLast(({ system }) => system === 'rescue')
  await host.waitFor('rescue', { seconds: HELD_WITHIN, notBoot: latest?.bootId ?? '' })
  await waitForState(host, ['held'], LIMIT.confirm)
  const said = await status(host)
  expect(said, dead.name).toMatchObject({ system: 'rescue', state: 'held', exitStatus: 3 })
  expect(said.error, dead.name).toMatch(dead.says)
}

async function resumeWith(host: Host, server: FileServer, variant: Variant): Promise<void> {
  const path = await image('target-debian-13', variant)
  const keys = await bringKeys(host)
  const words = `resume --target ${server.offer(path, imageFileName(path))} ${keys}`
  await host.ssh(`systemd-run --quiet --collect --unit=e2e-resume osflash ${words}`)
}
