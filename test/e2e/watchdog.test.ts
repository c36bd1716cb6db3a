import { expect, test } from 'vitest'
import type { Variant } from './images.ts'
import { applyDone, startApply, status, waitForState } from './operator.ts'
import { beginWith, bootFirstOs, LIMIT } from './takeover.ts'

/** So late that it is not the agent who ends the trial. */
const CONFIRM_WITHIN = 1800
const SAYS = 'e2e: the service manager stands still'

/**
 * Once the watchdog is open, the service manager is stopped as by a debugger (PTRACE_ATTACH):
 * nothing starts any more, nothing panics, and nobody feeds the watchdog.
 */
const HANGS: Variant = {
  name: 'hangs',
  scripts: [
    `cat > /usr/local/sbin/hang <<'END'
#!/bin/sh
until grep -q '^active' /sys/class/watchdog/watchdog0/state; do sleep 1; done
echo "${SAYS}" > /dev/console
exec perl -e 'syscall(101, 16, 1, 0, 0) == 0 or die; sleep'
END
chmod 755 /usr/local/sbin/hang
cat > /etc/systemd/system/hang.service <<'END'
[Unit]
Before=ssh.service osflash-trial.service
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/sbin/hang
[Install]
WantedBy=multi-user.target
END
systemctl enable hang.service`,
  ],
}

test('a target that hangs without a panic: the watchdog resets it, the rescue holds', async () => {
  const options = { name: 'watchdog', firmware: 'bios', watchdog: true } as const
  await using began = await beginWith(options, { target: HANGS })
  const { host, images } = began
  await bootFirstOs(began)
  await startApply(host, images, { 'confirm-within': String(CONFIRM_WITHIN) })
  if ((await applyDone(host, LIMIT.staging)) !== 'away') await host.waitForSilence(LIMIT.away)
  const writing = await host.waitFor('rescue', { seconds: LIMIT.away })
  expect((await host.ssh('cat /sys/class/watchdog/watchdog0/{state,timeout}')).trim()).toBe(
    'active\n60',
  )
  await host.waitForSerial(SAYS, LIMIT.flash + LIMIT.boot)
  const seconds = LIMIT.boot
  expect(seconds).toBeLessThan(CONFIRM_WITHIN)
  await host.waitFor(['rescue', 'target'], { seconds, notBoot: writing.bootId })
  await waitForState(host, ['held'], LIMIT.confirm)
  const said = await status(host)
  expect(said).toMatchObject({ system: 'rescue', state: 'held', exitStatus: 3 })
  expect(said.error).toMatch(/left no word/)
})
