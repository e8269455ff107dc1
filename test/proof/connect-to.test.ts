import t from 'tap'
import { parseNameServer } from '../../src/name-server.js'
import { connectsOf, parseConnectTo } from '../../src/proof/connect-to.js'

t.test('--connect', async (t) => {
  for (const [given, meant] of [
    ['127.0.0.1:8443', { address: '127.0.0.1', port: 8443 }],
    ['[::1]:8443', { address: '::1', port: 8443 }],
    ['[0:0::1]:1', { address: '::1', port: 1 }],
    ['origin.example.com:443', { address: 'origin.example.com', port: 443 }],
    ['www.example.com=192.0.2.7:443', { host: 'www.example.com', address: '192.0.2.7', port: 443 }],
    ['WWW.Example.com.=[2001:db8::7]:65535', { host: 'www.example.com', address: '2001:db8::7', port: 65_535 }],
    ['bücher.example=localhost:443', { host: 'xn--bcher-kva.example', address: 'localhost', port: 443 }],
    ['192.0.2.1=192.0.2.7:443', { host: '192.0.2.1', address: '192.0.2.7', port: 443 }],
  ] as const) {
    t.same(parseConnectTo(given), meant, given)
  }
  for (const given of [
    '',
    '443',
    ':443',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '127.0.0.1:x',
    '::1:443',
    '[::1]',
    '[127.0.0.1]:443',
    '[www.example.com]:443',
    'https://www.example.com:443',
    'www.example.com=192.0.2.7',
    'a=b=192.0.2.7:443',
    '*.example.com:443',
  ]) {
    t.throws(
      () => parseConnectTo(given),
      { code: 'USAGE', message: `--connect takes ADDR:PORT or HOST=ADDR:PORT, not "${given}"`, hint: /\[::1\]:8443/ },
      given,
    )
  }
  for (const given of ['=192.0.2.7:443', '*.example.com=192.0.2.7:443', 'a b=192.0.2.7:443']) {
    t.throws(() => parseConnectTo(given), { code: 'USAGE', message: /cannot read the host/ }, given)
  }
})

t.test('what is given for one host counts for more than what is given for all', async (t) => {
  const all = ['127.0.0.1:1', 'a.example=127.0.0.1:2', 'a.example=127.0.0.1:3', '127.0.0.1:4'].map((one) =>
    parseConnectTo(one),
  )
  t.same(
    connectsOf('a.example', all).map(({ port }) => port),
    [2, 3],
  )
  t.same(
    connectsOf('b.example', all).map(({ port }) => port),
    [1, 4],
  )
  t.same(connectsOf('b.example', all.slice(1, 3)), [])
})

t.test('--dns-resolver', async (t) => {
  for (const [given, meant] of [
    ['223.5.5.5', '223.5.5.5:53'],
    ['127.0.0.1:5353', '127.0.0.1:5353'],
    ['::1', '[::1]:53'],
    ['[::1]', '[::1]:53'],
    ['[2400:3200::1]:5353', '[2400:3200::1]:5353'],
  ] as const) {
    t.equal(parseNameServer(given), meant, given)
  }
  for (const given of [
    '',
    'dns.example.com',
    '1.2.3',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '[1.2.3.4]:53',
    '[::1',
    '::1%lo',
  ]) {
    t.throws(() => parseNameServer(given), { code: 'USAGE', message: /takes ADDR or ADDR:PORT/ }, given)
  }
})
