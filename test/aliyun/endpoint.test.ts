import t from 'tap'
import {
  type EndpointChoice,
  endpointUrl,
  ossEndpoint,
  regionId,
  requireBucketName,
} from '../../src/aliyun/endpoint.js'
import { hostOf, originOf } from '../../src/aliyun/oss-request.js'
import { CertError } from '../../src/errors.js'
import { isLoopback } from '../../src/loopback.js'

const bucket = 'my-ssl-certs'
const choose = (choice: Partial<EndpointChoice>) => ossEndpoint({ bucket, ...choice })

const refusal = (work: () => unknown): CertError => {
  try {
    work()
  } catch (error) {
    if (error instanceof CertError) return error
    throw error
  }
  throw new Error('was not refused')
}

t.test('both spellings of a region are the same', (t) => {
  for (const region of ['cn-hangzhou', 'oss-cn-hangzhou']) {
    const { url, ...rest } = choose({ region })
    t.equal(url.href, 'https://oss-cn-hangzhou.aliyuncs.com/')
    t.same(rest, { region: 'cn-hangzhou', cname: false })
  }
  const known = [
    'cn-hangzhou',
    'us-east-1',
    'ap-southeast-1',
    'cn-shanghai-finance-1',
    'cn-north-2-gov-1',
    'rg-china-mainland',
  ]
  for (const region of known) t.equal(regionId(`oss-${region}`), region)
  for (const text of [
    '',
    'hangzhou',
    'CN-HANGZHOU',
    'cn_hangzhou',
    'cn-',
    '-cn',
    'cn-hangzhou.aliyuncs.com',
    'cn-a/b',
  ]) {
    t.match(
      refusal(() => regionId(text)),
      { code: 'USAGE', hint: /--region/ },
      JSON.stringify(text),
    )
  }
  t.end()
})

t.test('the region that an endpoint tells', (t) => {
  const telling: Readonly<Record<string, string>> = {
    'https://oss-cn-hangzhou.aliyuncs.com': 'cn-hangzhou',
    'oss-cn-hangzhou.aliyuncs.com': 'cn-hangzhou',
    'HTTPS://OSS-CN-HANGZHOU.ALIYUNCS.COM': 'cn-hangzhou',
    'https://oss-cn-hangzhou-internal.aliyuncs.com': 'cn-hangzhou',
    'https://oss-cn-shanghai-finance-1-internal.aliyuncs.com': 'cn-shanghai-finance-1',
    'https://cn-hangzhou.oss.aliyuncs.com': 'cn-hangzhou',
    'https://oss-us-east-1.aliyuncs.com:443': 'us-east-1',
  }
  for (const [endpoint, region] of Object.entries(telling)) {
    t.equal(choose({ endpoint }).region, region, endpoint)
    t.equal(choose({ endpoint, region }).region, region)
    const other = refusal(() => choose({ endpoint, region: 'ap-southeast-1' }))
    t.match(other, { code: 'USAGE', message: new RegExp(`is in ${region}, not in ap-southeast-1`), hint: /--region/ })
  }
  t.end()
})

t.test('endpoints that do not tell need a region', (t) => {
  const silent = [
    'https://oss-accelerate.aliyuncs.com',
    'https://oss-accelerate-overseas.aliyuncs.com',
    'https://oss.my-vpc.privatelink.example',
    'https://ep-bp1abc.epsrv-bp1xyz.cn-hangzhou.privatelink.aliyuncs.com',
    'https://10.1.2.3',
    'https://10.1.2.3:8443',
    'https://[2001:db8::1]:8443',
    'http://127.0.0.1:9000',
    'http://localhost:9000',
    'http://anything.localhost:9000',
    'http://[::1]:9000',
  ]
  for (const endpoint of silent) {
    t.match(
      refusal(() => choose({ endpoint })),
      { code: 'USAGE', message: /the region of the bucket is not given/, hint: /--region/ },
      endpoint,
    )
    t.match(choose({ endpoint, region: 'cn-hangzhou' }), { region: 'cn-hangzhou', cname: false })
  }
  t.match(
    refusal(() => choose({})),
    { message: /region of the bucket is not given/ },
  )
  t.end()
})

t.test('where a request goes, and under which host', (t) => {
  const cases: readonly [choice: Partial<EndpointChoice>, origin: string, host: string][] = [
    [{}, 'https://my-ssl-certs.oss-cn-hangzhou.aliyuncs.com', 'my-ssl-certs.oss-cn-hangzhou.aliyuncs.com'],
    [
      { endpoint: 'https://oss-cn-hangzhou-internal.aliyuncs.com' },
      'https://my-ssl-certs.oss-cn-hangzhou-internal.aliyuncs.com',
      'my-ssl-certs.oss-cn-hangzhou-internal.aliyuncs.com',
    ],
    [
      { endpoint: 'https://oss-accelerate.aliyuncs.com' },
      'https://my-ssl-certs.oss-accelerate.aliyuncs.com',
      'my-ssl-certs.oss-accelerate.aliyuncs.com',
    ],
    [
      { endpoint: 'https://cn-hangzhou.oss.aliyuncs.com' },
      'https://my-ssl-certs.cn-hangzhou.oss.aliyuncs.com',
      'my-ssl-certs.cn-hangzhou.oss.aliyuncs.com',
    ],
    [
      { endpoint: 'https://oss.vpc.example:8443' },
      'https://my-ssl-certs.oss.vpc.example:8443',
      'my-ssl-certs.oss.vpc.example:8443',
    ],
    [{ endpoint: 'https://10.1.2.3:8443' }, 'https://10.1.2.3:8443', 'my-ssl-certs.oss-cn-hangzhou.aliyuncs.com'],
    [{ endpoint: 'https://[2001:db8::1]' }, 'https://[2001:db8::1]', 'my-ssl-certs.oss-cn-hangzhou.aliyuncs.com'],
    [{ endpoint: 'http://localhost:9000' }, 'http://my-ssl-certs.localhost:9000', 'my-ssl-certs.localhost:9000'],
    [
      { endpoint: 'https://static.example.com', cnameEndpoint: true },
      'https://static.example.com',
      'static.example.com',
    ],
    [
      { endpoint: 'static.example.com:8443', cnameEndpoint: true },
      'https://static.example.com:8443',
      'static.example.com:8443',
    ],
    [{ endpoint: 'http://127.0.0.1:9000', cnameEndpoint: true }, 'http://127.0.0.1:9000', '127.0.0.1:9000'],
    [
      // Bound to this bucket, whatever region its own name tells.
      { endpoint: 'https://oss-cn-beijing.aliyuncs.com', cnameEndpoint: true },
      'https://oss-cn-beijing.aliyuncs.com',
      'oss-cn-beijing.aliyuncs.com',
    ],
  ]
  for (const [choice, origin, host] of cases) {
    const endpoint = choose({ region: 'cn-hangzhou', ...choice })
    t.equal(originOf(bucket, endpoint).origin, origin, JSON.stringify(choice))
    t.equal(hostOf(bucket, endpoint), host)
    t.equal(endpoint.cname, choice.cnameEndpoint ?? false)
  }
  t.end()
})

t.test('an endpoint that begins with the bucket', (t) => {
  const endpoint = 'https://my-ssl-certs.oss-cn-hangzhou.aliyuncs.com'
  const error = refusal(() => choose({ endpoint, region: 'cn-hangzhou' }))
  t.match(error, {
    code: 'USAGE',
    hint: /: --endpoint https:\/\/oss-cn-hangzhou\.aliyuncs\.com, or add --cname-endpoint/,
  })
  t.ok(choose({ endpoint, region: 'cn-hangzhou', cnameEndpoint: true }).cname, 'unless it is said to be bound')
  const other = refusal(() => choose({ endpoint, region: 'cn-hangzhou', flag: '--bucket-endpoint' }))
  t.match(other.hint, /: --bucket-endpoint https/)
  t.end()
})

t.test('a bound domain has to be named', (t) => {
  const error = refusal(() => choose({ region: 'cn-hangzhou', cnameEndpoint: true }))
  t.match(error, { code: 'USAGE', message: /there is no --endpoint/, hint: /--endpoint https:\/\/your\.domain/ })
  t.end()
})

t.test('URLs', (t) => {
  const taken: Readonly<Record<string, string>> = {
    'https://oss.example': 'https://oss.example',
    'https://oss.example/': 'https://oss.example',
    'oss.example': 'https://oss.example',
    'oss.example:8443': 'https://oss.example:8443',
    'https://oss.example:443': 'https://oss.example',
    'http://127.0.0.1:1': 'http://127.0.0.1:1',
    'http://127.99.1.2': 'http://127.99.1.2',
    'http://[::1]:8080': 'http://[::1]:8080',
    'http://LOCALHOST': 'http://localhost',
    'http://a.b.localhost': 'http://a.b.localhost',
  }
  for (const [text, origin] of Object.entries(taken)) t.equal(endpointUrl('--endpoint', text).origin, origin, text)
  const odd = [
    '',
    'https://',
    'https://host/path',
    'https://host?x',
    'https://host#x',
    'https://user@host',
    'https://user:secretpassword@host',
    'user:secretpassword@host',
    'https://host:99999',
    'https://ho st',
    'mailto:x@y',
  ]
  for (const text of odd) {
    const error = refusal(() => endpointUrl('--cdn-endpoint', text))
    t.match(
      error,
      { code: 'USAGE', message: /^--cdn-endpoint /, hint: /such as --cdn-endpoint https:\/\/cdn\.aliyuncs\.com/ },
      text,
    )
    t.notMatch(error.message + error.hint, /secretpassword/, 'a password is not repeated')
  }
  for (const text of [
    'https://user@host',
    'https://user:secretpassword@host',
    'user:secret/password@host/path',
    'https://@host',
  ])
    t.match(
      refusal(() => endpointUrl('--endpoint', text)),
      { message: '--endpoint has an @ in it: it takes no user name and no password', hint: /^leave them out/ },
      text,
    )
  for (const [flag, host] of [
    ['--endpoint', 'oss-cn-hangzhou-internal'],
    ['--bucket-endpoint', 'oss-cn-hangzhou-internal'],
    ['--cdn-endpoint', 'cdn'],
    ['--dcdn-endpoint', 'dcdn'],
    ['--cas-endpoint', 'cas'],
  ] as const)
    t.equal(refusal(() => endpointUrl(flag, 'https://host/path')).hint, `such as ${flag} https://${host}.aliyuncs.com`)
  const clear = [
    'http://oss.example',
    'http://10.0.0.1',
    'http://0.0.0.0',
    'http://128.0.0.1',
    'http://[::2]',
    'http://127.0.0.1.example',
    'http://localhost.example',
    'http://notlocalhost',
    'ws://localhost',
    'ftp://127.0.0.1',
  ]
  for (const text of clear) {
    t.match(
      refusal(() => endpointUrl('--endpoint', text)),
      { code: 'USAGE', message: /would send private keys in the clear/, hint: /use https/ },
      text,
    )
  }
  // Spellings of 127.0.0.1 that a URL parser knows.
  for (const text of ['http://2130706433', 'http://0x7f.1', 'http://127.1']) {
    t.equal(endpointUrl('--endpoint', text).hostname, '127.0.0.1', text)
  }
  t.end()
})

t.test('this very machine', (t) => {
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.255.255.255', '::1', '[::1]'])
    t.ok(isLoopback(host), host)
  const others = [
    '',
    'localhost.',
    'localhostx',
    '127.0.0.1.com',
    '127',
    '1127.0.0.1',
    '::',
    '::2',
    '10.0.0.1',
    '0.0.0.0',
  ]
  for (const host of others) t.notOk(isLoopback(host), host)
  t.end()
})

t.test('names of buckets', (t) => {
  for (const name of ['abc', 'my-ssl-certs', '0a0', 'a'.repeat(63), 'a--b'])
    t.doesNotThrow(() => requireBucketName(name), name)
  const bad = ['', 'ab', 'a'.repeat(64), 'Abc', 'a_b', 'a.b', '-ab', 'ab-', 'a b', 'a/b', 'äbc', 'abc\n', 'oss://abc']
  for (const name of bad) {
    t.match(
      refusal(() => requireBucketName(name)),
      { code: 'USAGE', message: /cannot be the name of a bucket/, hint: /3 to 63/ },
      JSON.stringify(name),
    )
  }
  t.end()
})
