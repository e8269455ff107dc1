import t from 'tap'
import { isBoundDomain } from '../../src/aliyun/endpoint.js'
import { withChallengeBucket } from '../../src/cli/challenge-bucket.js'
import { type IssuerValues, solverSettings } from '../../src/cli/issuer-flags.js'

const solver = { solver: 'bucket', challenge: 'http-01' } as const
const layout = { kind: 'oss', settings: { bucket: 'certs', region: 'cn-hangzhou', endpoint: 'https://a.example.net' } }
const bound = { kind: 'oss-cname', settings: { bucket: 'site', domain: 'auto', region: 'cn-beijing' } }
const byDomain = { kind: 'oss', settings: { ...layout.settings, 'cname-endpoint': true } }

t.test('the bucket of the targets', async (t) => {
  const whole = (targets: Parameters<typeof withChallengeBucket>[1], given = {}) =>
    withChallengeBucket({ ...solver, ...given }, targets)
  t.match(whole([layout]), {
    challengeBucket: 'certs',
    challengeRegion: 'cn-hangzhou',
    challengeEndpoint: 'https://a.example.net',
    challengeEndpointIs: 'endpoint',
  })
  t.match(whole([byDomain]), { challengeBucket: 'certs', challengeEndpointIs: 'bound domain' })
  t.match(whole([layout, bound]), { challengeBucket: 'site', challengeRegion: 'cn-beijing' }, 'a bound domain first')
  const elsewhere = {
    ...bound,
    settings: { ...bound.settings, endpoint: 'https://a.example.net', 'cname-endpoint': true },
  }
  t.notOk('challengeEndpoint' in whole([byDomain, elsewhere]), 'a bound domain leads to its own bucket alone')
  t.match(whole([layout], { challengeBucket: 'other' }), { challengeBucket: 'other', challengeRegion: 'cn-hangzhou' })
  t.notOk('challengeEndpoint' in whole([byDomain], { challengeBucket: 'other' }))
  const said = { challengeBucket: 'b', challengeRegion: 'cn-beijing', challengeEndpoint: 'https://b.example.com' }
  t.same(whole([layout, bound], said), { ...solver, ...said }, 'what was said counts')
  t.match(whole([{ kind: 'cdn', settings: { domain: 'auto' } }]), { challengeBucket: undefined })
  const other = { ...solver, solver: 'standalone' }
  t.equal(withChallengeBucket(other, [layout]), other, 'others stay as they are')
})

t.test('naming the bucket is naming the solver', async (t) => {
  const values = {
    ...{ 'challenge-bucket': 'site', 'challenge-region': 'cn-hangzhou', 'challenge-endpoint': 'https://e.example.net' },
    ...{ 'http-port': 80, 'tls-port': 443, 'dns-resolver': '192.0.2.53:53' },
  }
  t.match(solverSettings(values as IssuerValues, ['a.example.com']), {
    ...solver,
    ...{ challengeBucket: 'site', challengeRegion: 'cn-hangzhou', challengeEndpoint: 'https://e.example.net' },
    ...{ httpPort: 80, tlsPort: 443, dnsResolver: '192.0.2.53:53' },
  })
  const byWebroot = solverSettings({ ...values, webroot: '/var/www' } as IssuerValues, ['a.example.com'])
  t.match(byWebroot, { solver: 'webroot', challengeBucket: undefined }, 'as it was')
  t.throws(() => solverSettings(values as IssuerValues, ['*.example.com']), { code: 'WILDCARD_NEEDS_DNS' })
})

t.test('a bound domain by its name', async (t) => {
  const expected: Record<string, boolean> = {
    'https://static.example.com': true,
    'https://aliyuncs.com.example.com': true,
    'https://oss-cn-hangzhou.aliyuncs.com': false,
    'https://ep-1.oss.cn-hangzhou.privatelink.aliyuncs.com': false,
    'https://192.0.2.1': false,
    'https://[2001:db8::1]': false,
    'https://localhost:8443': false,
    'http://static.localhost': false,
  }
  for (const [url, is] of Object.entries(expected)) t.equal(isBoundDomain(new URL(url)), is, url)
})
