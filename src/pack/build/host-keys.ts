/**
 * SSH host keys are made where they are used: at the first boot of each machine.
 *
 * 1. An image holds none (tidy.ts removes them), or all machines made from it would share them.
 * 2. This unit makes those that are missing, before any sshd starts.
 *
 * Not promised: anything where host keys were carried over; then the unit finds them and rests.
 */

export const HOST_KEY_UNIT = 'osflash-host-keys.service'

export const HOST_KEY_UNIT_TEXT = `[Unit]
Description=Make missing SSH host keys
Before=ssh.service ssh.socket sshd.service
ConditionPathExistsGlob=!/etc/ssh/ssh_host_*_key
RequiresMountsFor=/etc/ssh

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target ssh.service
`
