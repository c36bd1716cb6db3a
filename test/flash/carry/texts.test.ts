/** The parsers of small files: leases, resolv.conf, sshd -T, authorized_keys, shadow, hosts. */
import { describe, expect, test } from 'vitest'
import { keyLines, mergeKeys, opensShell } from '../../../src/flash/carry/authorized-keys.ts'
import { withHostname } from '../../../src/flash/carry/hosts-file.ts'
import { dhclientLease, networkdLease } from '../../../src/flash/carry/leases.ts'
import { readResolvConf } from '../../../src/flash/carry/resolver.ts'
import { hasPassword, mergeHash, shadowLine } from '../../../src/flash/carry/shadow.ts'
import { readSshdSettings } from '../../../src/flash/carry/sshd-settings.ts'

describe('leases', () => {
  test('of systemd-networkd', () => {
    const text = [
      '# This is private data. Do not parse.',
      'ADDRESS=10.0.2.15',
      'NETMASK=255.255.255.0',
      'ROUTER=10.0.2.2 10.0.2.3',
      'CLIENTID=FFB6220FEB00020000AB11C5E3A2E7AD1BB5C1',
      '',
    ].join('\n')
    expect(networkdLease(text)).toEqual({
      address: '10.0.2.15',
      routers: ['10.0.2.2', '10.0.2.3'],
      clientId: 'ffb6220feb00020000ab11c5e3a2e7ad1bb5c1',
    })
    expect(networkdLease('# nothing yet\n')).toBeUndefined()
  })

  test('of dhclient: the last block of the interface, without an address', () => {
    const block = (name: string, router: string) =>
      `lease {\n  interface "${name}";\n  option routers ${router};\n}\n`
    const text = block('ens3', '10.0.0.1') + block('ens3', '10.0.2.2') + block('ens4', '10.9.0.1')
    expect(dhclientLease(text, 'ens3')).toEqual({ routers: ['10.0.2.2'] })
    expect(dhclientLease(text, 'ens5')).toBeUndefined()
  })
})

describe('resolv.conf', () => {
  test('servers in their order, the last search, no nonsense', () => {
    const text = [
      '# comment',
      'nameserver 9.9.9.9',
      'nameserver 2620:fe::fe',
      'nameserver fe80::1%ens3',
      'nameserver 9.9.9.9',
      'nameserver dns.example',
      'domain old.example',
      'search  example.net  example.org .',
      'options edns0',
    ].join('\n')
    expect(readResolvConf(text)).toEqual({
      servers: ['9.9.9.9', '2620:fe::fe', 'fe80::1%ens3'],
      domains: ['example.net', 'example.org'],
      hasStub: false,
    })
  })

  test('the stub of systemd-resolved is no server', () => {
    expect(readResolvConf('nameserver 127.0.0.53\n')).toMatchObject({ servers: [], hasStub: true })
  })
})

describe('sshd -T', () => {
  // OpenSSH 9.2 of Debian 12, cut.
  const text = [
    'permitrootlogin without-password',
    'pubkeyauthentication yes',
    'passwordauthentication no',
    'authorizedkeyscommand none',
    'authorizedkeysfile .ssh/authorized_keys %h/more_keys /etc/ssh/keys/%u',
    'hostkeyagent none',
    'hostkeyalgorithms ssh-ed25519,rsa-sha2-512',
    'hostkey /etc/ssh/ssh_host_rsa_key',
    'hostkey /etc/ssh/ssh_host_ed25519_key',
    'hostcertificate /etc/ssh/ssh_host_ed25519_key-cert.pub',
  ].join('\n')

  test('keys, certificates, and where root has keys', () => {
    expect(readSshdSettings(text, '/root')).toEqual({
      ports: [22],
      hostKeys: ['/etc/ssh/ssh_host_rsa_key', '/etc/ssh/ssh_host_ed25519_key'],
      hostCertificates: ['/etc/ssh/ssh_host_ed25519_key-cert.pub'],
      rootKeyFiles: ['/root/.ssh/authorized_keys', '/root/more_keys', '/etc/ssh/keys/root'],
      permitRootLogin: 'without-password',
      pubkeyAuthentication: true,
      passwordAuthentication: false,
    })
  })

  test('ports are as many as there are', () => {
    expect(readSshdSettings('port 2222\nport 22\n', '/root').ports).toEqual([2222, 22])
  })

  test('a command that gives keys is named, and no file is no file', () => {
    const other = 'authorizedkeyscommand /usr/bin/sss_ssh\nauthorizedkeysfile none\n'
    expect(readSshdSettings(other, '/root')).toMatchObject({
      authorizedKeysCommand: '/usr/bin/sss_ssh',
      rootKeyFiles: [],
    })
  })
})

describe('authorized keys', () => {
  const one = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAone me'
  const two = 'from="192.0.2.0/24" ssh-rsa AAAAB3NzaC1yc2EAAAADAQABtwo you'
  const cloud = 'no-pty,command="echo \'Please login as debian\'" ssh-rsa AAAAB3NzaC1yc2EAAAAthree'
  const security = 'sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5four'

  test('comments and half lines are no keys', () => {
    expect(keyLines(`# ${one}\n\n  ${one}\nssh-rsa\n${security}\n`)).toEqual([one, security])
  })

  test('a forced command opens no shell', () => {
    expect([one, two, cloud, security].map(opensShell)).toEqual([true, true, false, true])
    expect(opensShell(`cert-authority ${one}`)).toBe(false)
  })

  test('merging adds what is new and keeps what is there', () => {
    const before = `# mine\n${one} other comment`
    expect(mergeKeys(before, `${one}\n${two}\n${two}\n`)).toBe(`${before}\n${two}\n`)
  })
})

describe('shadow', () => {
  const text = 'root:*:19700:0:99999:7:::\ndaemon:*:19700:0:99999:7:::\nroot2:!:1::::::\n'

  test('a hash goes into the line of its name, and nothing else changes', () => {
    const line = 'root:$y$j9T$abc$def:18000:1:2:3:4:5:6'
    expect(mergeHash(text, line)).toBe(text.replace('root:*:', 'root:$y$j9T$abc$def:'))
    expect(mergeHash('daemon:*:1::::::\n', line)).toBe('daemon:*:1::::::\n')
  })

  test('what is a password', () => {
    expect(shadowLine(text, 'root')).toBe('root:*:19700:0:99999:7:::')
    const hashes = ['', '*', '!', '!$y$j9T$abc', '$6$abc$def']
    expect(hashes.map((hash) => hasPassword(`root:${hash}:1::::::`))).toEqual([
      false,
      false,
      false,
      false,
      true,
    ])
  })
})

describe('hosts', () => {
  test('the line of 127.0.1.1 is replaced where it stands', () => {
    const text = '127.0.0.1\tlocalhost\n127.0.1.1\told.example old\n::1\tlocalhost ip6-localhost\n'
    expect(withHostname(text, 'web1.example.net')).toBe(
      '127.0.0.1\tlocalhost\n127.0.1.1\tweb1.example.net web1\n::1\tlocalhost ip6-localhost\n',
    )
  })

  test('an empty file gets both lines', () => {
    expect(withHostname('', 'web1')).toBe('127.0.0.1\tlocalhost\n127.0.1.1\tweb1\n')
    expect(withHostname(withHostname('', 'a'), 'b')).toBe(withHostname('', 'b'))
  })
})
