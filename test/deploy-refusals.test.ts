// What is refused is refused before anything is touched: exit status 2, one sentence and what to do about it.
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import {
  bucket,
  daysFromNow,
  intermediate,
  isRoot,
  keepSecret,
  mintMaterial,
  openWorld,
  proveSilence,
  resultOf,
  type WorldRun,
} from './deploy-world.js'
import { generateKey, keyPem, mintAuthority, mintLeaf, pemOf, rsaKey } from './mint.js'
import type { RunResult } from './run-command.js'

const material = await mintMaterial()
const world = await openWorld(t)
const target = ['--directory', world.path('tls'), ...world.toBucket]

/** What a refused command must leave as it was. */
const surroundings = () => ({
  requests: world.emulator.requests.length,
  connections: world.emulator.connections,
  files: readdirSync(world.folder).sort(),
})

const proves = (t: Test, run: RunResult, code: string, message: RegExp, hint: RegExp): void => {
  t.equal(run.code, 2, code)
  t.equal(run.stdout, '', 'nothing on standard output')
  const [, sentence = '', advice = '', ...rest] = /^error: ([^\n]+)\n {2}what to do: ([^\n]+)\n$/.exec(run.stderr) ?? []
  t.same(rest, [])
  t.ok(sentence !== '' && advice !== '', `one sentence and a hint: ${JSON.stringify(run.stderr)}`)
  t.match(sentence, message)
  t.match(advice, hint)
  t.notMatch(sentence, /[.]$|^[A-Z][a-z]+ [a-z]/, 'no full stop, no capital')
  t.notMatch(run.stderr, /\n\s+at |Error:|node:/, 'no stack trace')
}

/** Refused as text and as JSON, in the same words; in this process, unless told. */
const refuses = async (
  t: Test,
  words: readonly string[],
  code: string,
  message: RegExp,
  hint: RegExp,
  options: WorldRun = {},
): Promise<void> => {
  const before = surroundings()
  const how = { here: true, ...options }
  const [text, json] = await Promise.all([world.run(words, how), world.run([...words, '--json'], how)])
  proves(t, text, code, message, hint)
  t.equal(json.code, 2)
  t.equal(json.stderr, '', 'with --json, nothing on standard error')
  const { error, ...rest } = resultOf(json)
  t.same(rest, {
    schema: 'acme-oss/1',
    command: words[0],
    ok: false,
    certificate: null,
    stages: [],
    pending: [],
    warnings: [],
  })
  t.same(error, {
    code,
    message: /^error: ([^\n]+)/.exec(text.stderr)?.[1],
    hint: /what to do: ([^\n]+)/.exec(text.stderr)?.[1],
    vendor: null,
  })
  t.same(surroundings(), before, 'no request, no connection, no state folder, no target folder')
}

/** As it is published: for what its first file says, and for what no other run is to know. */
const apart: WorldRun = { here: false }

const refusesInput = (t: Test, input: string | Buffer, code: string, message: RegExp, hint: RegExp): Promise<void> =>
  refuses(t, ['deploy', '--fullchain', '-', ...target], code, message, hint, { input })

t.test('material', async (t) => {
  const other = await mintMaterial({ names: ['other.example'] })
  const twin = await mintMaterial({ key: material.privateKey, names: ['twin.example'] })
  const expired = await mintMaterial({ notAfter: daysFromNow(-1) })
  const future = await mintMaterial({ notBefore: daysFromNow(1), notAfter: daysFromNow(90) })
  const authority = await mintAuthority()
  const stranger = await mintAuthority({ name: 'Stranger' })
  const { leaf, chain, fullchain, key, privateKey } = material
  const rsa = rsaKey('refusals')
  keepSecret(keyPem(rsa, 'pkcs1'))
  const cut = key.split('\n')
  const trailing = pemOf('CERTIFICATE', Buffer.concat([material.x509.raw, Buffer.from('trailing')]))
  const p7 = '-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n'
  // A SEQUENCE that begins with the OID of signed data.
  const p7der = Buffer.from('300d06092a864886f70d010702a000', 'hex')
  const damaged = (() => {
    const jwk = privateKey.export({ format: 'jwk' })
    const scalar = Buffer.from(jwk.d ?? '', 'base64url')
    const der = privateKey.export({ type: 'pkcs8', format: 'der' })
    const at = der.indexOf(scalar)
    return pemOf('PRIVATE KEY', Buffer.concat([der.subarray(0, at), randomBytes(32), der.subarray(at + 32)]))
  })()
  keepSecret(damaged)

  const cases: Readonly<
    Record<string, readonly [input: string | Buffer, code: string, message: RegExp, hint: RegExp]>
  > = {
    'nothing at all': ['', 'KEY_MISSING', /no private key/, /BEGIN PRIVATE KEY/],
    'no certificate': [key, 'CERTIFICATE_MISSING', /no certificate/, /fullchain\.pem/],
    'no key': [fullchain, 'KEY_MISSING', /no private key/, /the key that the certificate was requested with/],
    'an encrypted key (PKCS#8)': [
      fullchain + keyPem(privateKey, 'pkcs8-encrypted'),
      'KEY_ENCRYPTED',
      /private key in line \d+ is encrypted/,
      /openssl pkey/,
    ],
    'an encrypted key (as openssl used to write them)': [
      fullchain + keyPem(rsa, 'legacy-encrypted'),
      'KEY_ENCRYPTED',
      /is encrypted/,
      /openssl pkey/,
    ],
    'the key of another certificate': [
      fullchain + other.key,
      'KEY_MISMATCH',
      /belongs to none of the certificates/,
      /example\.com/,
    ],
    'two keys': [
      fullchain + key + other.key,
      'KEY_AMBIGUOUS',
      /several different private keys/,
      /one certificate only/,
    ],
    'two leaves of the same key': [
      fullchain + twin.leaf + key,
      'LEAF_AMBIGUOUS',
      /2 different certificates belong to this private key/,
      new RegExp(material.x509.serialNumber),
    ],
    'the certificate of another server among the intermediates': [
      fullchain + other.leaf + key,
      'CHAIN_BROKEN',
      /other\.example is not part of the chain/,
      /another server certificate/,
    ],
    'the certificate of another CA': [
      fullchain + stranger.pem + key,
      'CHAIN_BROKEN',
      /Stranger is not part of the chain/,
      /intermediate/,
    ],
    expired: [expired.fullchain + expired.key, 'CERTIFICATE_EXPIRED', /expired on \d{4}-/, /issue a new one/],
    'not yet valid': [
      future.fullchain + future.key,
      'CERTIFICATE_NOT_YET_VALID',
      /begins only on \d{4}-/,
      /wait until/,
    ],
    "a CA's own": [
      authority.pem + keyPem(authority.key, 'pkcs8'),
      'CERTIFICATE_IS_CA',
      /a CA's own, not a server's/,
      /CA:FALSE/,
    ],
    'bytes behind the certificate': [
      trailing + chain + key,
      'CERTIFICATE_UNREADABLE',
      /line 1 is followed by something else/,
      /fetch it again/,
    ],
    'a certificate that is none': [
      pemOf('CERTIFICATE', Buffer.from('nonsense')) + key,
      'CERTIFICATE_UNREADABLE',
      /cannot be read/,
      /openssl x509/,
    ],
    'a certificate with trust marks': [
      leaf.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE') + key,
      'CERTIFICATE_UNREADABLE',
      /trust marks/,
      /openssl x509/,
    ],
    'DER, a certificate': [material.x509.raw, 'INPUT_IS_DER', /a certificate in DER/, /openssl x509 -inform DER/],
    'DER, a key': [
      privateKey.export({ type: 'pkcs8', format: 'der' }),
      'INPUT_IS_DER',
      /private key in DER/,
      /openssl pkey -inform DER/,
    ],
    'PKCS#7': [p7, 'INPUT_IS_PKCS7', /the input is PKCS#7/, /openssl pkcs7 -in/],
    'PKCS#7 in DER': [p7der, 'INPUT_IS_PKCS7', /PKCS#7 \(DER\)/, /openssl pkcs7 -inform DER/],
    'a file that was cut off': [fullchain + cut.slice(0, 3).join('\n'), 'PEM_UNREADABLE', /has no end/, /cut off/],
    'a file that was edited': [
      fullchain + key.replace(/\n(.)/, '\n?$1'),
      'PEM_UNREADABLE',
      /not base64/,
      /fetch the file again/,
    ],
    'a key whose private half was damaged': [fullchain + damaged, 'KEY_DAMAGED', /is damaged/, /restore it/],
    'a key that no server takes': [
      fullchain + pemOf('DSA PRIVATE KEY', Buffer.from('3003020100', 'hex')),
      'KEY_UNSUPPORTED',
      /DSA PRIVATE KEY/,
      /RSA, EC .* and Ed25519/,
    ],
    'an SSH key': [
      fullchain + pemOf('OPENSSH PRIVATE KEY', Buffer.from('openssh-key-v1')),
      'KEY_UNREADABLE',
      /SSH key/,
      /requested with/,
    ],
    'more than 1 MiB': [
      fullchain + key + '#'.repeat(1024 * 1024),
      'INPUT_TOO_LARGE',
      /standard input is larger than 1 MiB/,
      /nothing else/,
    ],
    'noise that is not even text': [randomBytes(5000), 'KEY_MISSING', /no private key/, /PEM/],
  }
  for (const [what, [input, code, message, hint]] of Object.entries(cases)) {
    await t.test(what, (t) => refusesInput(t, input, code, message, hint))
  }
  await t.test('by a process of its own', (t) =>
    refuses(t, ['deploy', '--fullchain', '-', ...target], 'KEY_MISMATCH', /belongs to none/, /example\.com/, {
      ...apart,
      input: fullchain + other.key,
    }),
  )
})

t.test('what is just in time is taken', async (t) => {
  const soon = await mintMaterial({ notBefore: new Date(Date.now() + 10 * 60_000) })
  const run = await world.deploy(soon, ['--directory', world.path('tls'), '--dry-run'])
  t.equal(run.code, 0, 'a clock may be late by a quarter of an hour')
})

t.test('files', async (t) => {
  const file = (name: string, content: string | Buffer): string => world.file(name, content)
  const fullchain = file('fullchain.pem', material.fullchain)
  const key = file('privkey.pem', material.key)
  const check = (
    words: readonly string[],
    code: string,
    message: RegExp,
    hint: RegExp,
    options: WorldRun = {},
  ): Promise<void> => refuses(t, ['deploy', ...words, ...target], code, message, hint, options)

  const missing = world.path('missing.pem')
  await check(
    ['--fullchain', missing, '--key', key],
    'FILE_UNREADABLE',
    /missing\.pem cannot be read: there is no/,
    /path/,
  )
  await check(['--fullchain', fullchain, '--key', missing], 'FILE_UNREADABLE', /missing\.pem cannot be read/, /path/)
  await check(['--cert', fullchain, '--chain', missing, '--key', key], 'FILE_UNREADABLE', /missing\.pem/, /path/)
  await check(['--fullchain', world.folder, '--key', key], 'FILE_UNREADABLE', /cannot be read: it is a folder/, /path/)
  await check(['--fullchain', `${fullchain}/x`, '--key', key], 'FILE_UNREADABLE', /ENOTDIR/, /path/)
  await check(
    ['--fullchain', file('empty.pem', ''), '--key', key],
    'CERTIFICATE_MISSING',
    /no certificate/,
    /fullchain/,
  )
  await check(['--fullchain', fullchain, '--key', file('none.pem', '')], 'KEY_MISSING', /no private key/, /PEM/)
  await check(['--fullchain', fullchain, '--key', fullchain], 'KEY_MISSING', /no private key/, /PEM/)
  const large = file('large.pem', Buffer.alloc(1024 * 1024 + 1, '\n'))
  await check(
    ['--fullchain', large, '--key', key],
    'INPUT_TOO_LARGE',
    /large\.pem is larger than 1 MiB/,
    /nothing else/,
  )
  const nearly = file('nearly.pem', Buffer.alloc(1024 * 1024, '\n'))
  await check(['--fullchain', nearly, '--key', key], 'INPUT_TOO_LARGE', /material is larger than 1 MiB/, /nothing else/)
  await check(['--fullchain', '/dev/zero', '--key', key], 'INPUT_TOO_LARGE', /\/dev\/zero is larger/, /nothing else/)
  await check(['--fullchain', fullchain], 'KEY_MISSING', /no private key/, /PEM/)
  const mismatch = file('other.pem', keyPem(generateKey('ec256'), 'pkcs8'))
  await check(
    ['--fullchain', fullchain, '--key', mismatch],
    'KEY_MISMATCH',
    /belongs to none/,
    /example\.com, www\.example/,
  )

  const words = file('words.txt', 'certificate\nwarnings\nacme-oss/1\nno private key\nwhat to do\n')
  await check(
    ['--fullchain', fullchain, '--key', words],
    'KEY_MISSING',
    /^there is no private key in the input$/,
    /PEM/,
  )

  const closed = file('closed.pem', material.key)
  chmodSync(closed, 0)
  await t.test('permission denied', { skip: isRoot && 'root may read everything' }, (t) =>
    refuses(
      t,
      ['deploy', '--fullchain', fullchain, '--key', closed, ...target],
      'FILE_UNREADABLE',
      /closed\.pem cannot be read: permission denied/,
      /as the user that owns the file/,
    ),
  )
})

const fromInput = ['deploy', '--fullchain', '-']
const input = material.fullchain + material.key

/** Words, what is said, what is advised. The code is USAGE in each. */
type Usage = readonly [words: readonly string[], message: RegExp, hint: RegExp]

const usage = (t: Test, cases: Readonly<Record<string, Usage>>, options: WorldRun = {}): void => {
  for (const [what, [words, message, hint]] of Object.entries(cases)) {
    t.test(what, (t) => refuses(t, words, 'USAGE', message, hint, { input, ...options }))
  }
}

t.test('the command line', async (t) => {
  const to = [...fromInput, ...target]
  usage(
    t,
    {
      'an unknown command': [['depoly'], /does not know the command "depoly"/, /did you mean acme-oss deploy\?/],
      'nothing like any command': [['frobnicate'], /"frobnicate"/, /acme-oss --help/],
      'a command that is a word of JavaScript': [['constructor'], /"constructor"/, /acme-oss --help/],
      'an unknown flag': [
        [...to, '--frobnicate'],
        /acme-oss deploy does not know --frobnicate/,
        /acme-oss deploy --help/,
      ],
    },
    apart,
  )
  usage(t, {
    'a flag with a typing error': [[...to, '--buket', 'x'], /does not know --buket/, /did you mean --bucket\?/],
    'a flag of another command': [[...to, '--domain', 'example.com'], /does not know --domain/, /--help/],
    'a flag cut short': [[...to, '--direct', '/x'], /does not know --direct/, /--help/],
    'an unknown letter': [[...to, '-x'], /does not know "?-?x/, /--help/],
    'a word that is no flag': [[...to, 'example.com'], /does not know "example\.com"/, /--help/],
    'a word of JavaScript as a flag': [[...to, '--constructor', 'x'], /does not know --constructor/, /--help/],
    'a flag without a value': [[...fromInput, '--directory'], /--directory was given without a value/, /--help/],
    'a flag whose value is another flag': [
      [...fromInput, '--directory', '--json=false'],
      /--directory was given without a value/,
      /--help/,
    ],
    'a flag with an empty value': [[...fromInput, '--directory', ''], /--directory was given without a value/, /leave/],
    'a flag given twice': [[...to, '--prefix', 'b'], /--prefix was given 2 times/, /give it once/],
    'a switch that is neither on nor off': [[...to, '--allow-older=maybe'], /--allow-older .*"maybe"/, /leave it out/],
    'no certificate': [['deploy', ...target], /no certificate is given/, /--fullchain/],
    'a chain without a certificate': [['deploy', '--chain', '-', ...target], /no certificate is given/, /--fullchain/],
    'no target': [fromInput, /nothing says where the certificate is to go/, /--bucket.*--directory/],
  })
})

t.test('no command at all', async (t) => {
  const none = await world.run([''], { terse: true })
  t.equal(none.code, 2)
  t.match(none.stderr, /^error: no command is given\n {2}what to do: acme-oss --help lists them\n$/)
})

t.test('buckets, regions, prefixes, numbers', async (t) => {
  const { url } = world.emulator
  const at = (name: string, where: string, ...more: readonly string[]): string[] => [
    ...fromInput,
    ...['--bucket', name, '--region', where, ...more],
  ]
  const bad = (name: string): Usage => [at(name, 'cn-hangzhou'), /cannot be the name of a bucket/, /3 to 63/]
  const region = (name: string): Usage => [at(bucket, name), /is not a region/, /--region cn-hangzhou/]
  const prefix = (text: string, why: RegExp): Usage => [
    at(bucket, 'cn-hangzhou', `--prefix=${text}`),
    why,
    /--prefix certs/,
  ]
  const timeout = (text: string): Usage => [
    [...fromInput, ...target, `--timeout=${text}`],
    /--timeout takes a whole number from 1 to 3600/,
    /--timeout 60/,
  ]
  usage(t, {
    'a bucket with capitals': bad('My-Certs'),
    'a bucket with a URL': bad('oss://my-ssl-certs'),
    'a bucket with a domain': bad('my-ssl-certs.oss-cn-hangzhou.aliyuncs.com'),
    'a bucket with a path': bad('a/../b'),
    'a bucket that is too short': bad('ab'),
    'a bucket that is too long': bad('a'.repeat(64)),
    'a bucket that ends in a hyphen': bad('abc-'),
    'a bucket without a region': [
      [...fromInput, '--bucket', bucket],
      /the region of the bucket is not given/,
      /--region/,
    ],
    'a region with an accent': region('cn-hängzhou'),
    'a region that leads elsewhere': region('cn-hangzhou.evil.example/'),
    'a region with a space': region('cn hangzhou'),
    'half a region': region('hangzhou'),
    'a prefix with a slash before it': prefix('/certs', /begins with a slash/),
    'a prefix of a slash': prefix('/', /begins with a slash/),
    'a prefix with a backslash before it': prefix('\\certs', /begins with a slash/),
    'a prefix that leads upward': prefix('certs/../other', /an empty part, "\." or "\.\."/),
    'a prefix with an empty part': prefix('certs//other', /an empty part/),
    'a prefix of a dot': prefix('./certs', /an empty part/),
    'a prefix with a line end': prefix('certs\nother', /does not belong into an object key/),
    'a prefix that is too long': prefix('a/'.repeat(600), /longer than/),
    'a region without a bucket': [
      [...fromInput, '--region', 'cn-hangzhou'],
      /--region says .* no bucket is given/,
      /--bucket/,
    ],
    'a prefix without a bucket': [[...fromInput, '--prefix', 'a'], /--prefix says .* no bucket is given/, /--bucket/],
    'an endpoint without a bucket': [[...fromInput, '--endpoint', url], /--endpoint says .* no bucket/, /--bucket/],
    'encryption without a bucket': [
      [...fromInput, '--directory', world.path('tls'), '--sse', 'KMS'],
      /--sse says .* no bucket is given/,
      /--bucket/,
    ],
    'an unknown encryption': [[...fromInput, ...target, '--sse', 'ROT13'], /--sse .*ROT13/, /AES256.*KMS.*SM4/],
    'no number': timeout('soon'),
    zero: timeout('0'),
    'less than nothing': timeout('-5'),
    'half a second': timeout('0.5'),
    'more than an hour': timeout('3601'),
    'a number with a unit': timeout('60s'),
    'a number in another notation': timeout('1e3'),
  })
})

t.test('endpoints', async (t) => {
  const password = keepSecret('hunter2-is-a-bad-password')
  const at = (endpoint: string, message: RegExp, hint: RegExp, flag = '--endpoint'): Usage => [
    [...fromInput, '--bucket', bucket, '--region', 'cn-hangzhou', `${flag}=${endpoint}`],
    message,
    hint,
  ]
  const shape = /--endpoint takes a scheme, a host and perhaps a port/
  const such = /https:\/\//
  const noPassword = /--endpoint has an @ in it: it takes no user name and no password/
  usage(
    t,
    {
      credentials: at(`https://user:${password}@oss-cn-hangzhou.aliyuncs.com`, noPassword, such),
      'credentials without a scheme': at(`user:${password}@oss-cn-hangzhou.aliyuncs.com`, noPassword, such),
      'credentials with a slash in them': at(
        `https://user:${password}/x@oss-cn-hangzhou.aliyuncs.com`,
        noPassword,
        such,
      ),
    },
    apart,
  )
  usage(t, {
    'plain http to another machine': at('http://oss-cn-hangzhou.aliyuncs.com', /in the clear/, /use https/),
    'plain http to a private address': at('http://10.0.0.1', /in the clear/, /127\.0\.0\.1/),
    'plain http to a host that only begins like this machine': at(
      'http://localhost.evil.example',
      /in the clear/,
      /https/,
    ),
    'plain http to an address that only looks like one': at('http://127.0.0.1.evil.example', /in the clear/, /https/),
    'another scheme': at('ftp://127.0.0.1', /in the clear/, /use https/),
    'a path': at('https://oss-cn-hangzhou.aliyuncs.com/my-ssl-certs', shape, such),
    'a question': at('https://oss-cn-hangzhou.aliyuncs.com/?x=1', shape, such),
    'a fragment': at('https://oss-cn-hangzhou.aliyuncs.com/#x', shape, such),
    'a port that is none': at('https://oss-cn-hangzhou.aliyuncs.com:port', shape, such),
    'no host': at('https://', shape, such),
    'the bucket in it': at(
      'https://my-ssl-certs.oss-cn-hangzhou.aliyuncs.com',
      /begins with the name of the bucket/,
      /--endpoint https:\/\/oss-cn-hangzhou\.aliyuncs\.com.*--cname-endpoint/,
    ),
    'another region': at('https://oss-cn-beijing.aliyuncs.com', /is in cn-beijing, not in cn-hangzhou/, /--region/),
    'for the bucket, in the clear': at(
      'http://10.0.0.1',
      /--bucket-endpoint .*in the clear/,
      /https/,
      '--bucket-endpoint',
    ),
    'for the bucket, with a path': at(
      'https://x.example/y',
      /--bucket-endpoint takes a scheme/,
      /--bucket-endpoint https/,
      '--bucket-endpoint',
    ),
    'a bound domain that is not given': [
      [...fromInput, '--bucket', bucket, '--region', 'cn-hangzhou', '--cname-endpoint'],
      /--cname-endpoint says .* there is no --endpoint/,
      /--endpoint https:\/\/your\.domain/,
    ],
    'a bound domain without a region': [
      [...fromInput, '--bucket', bucket, '--endpoint', 'https://static.example.com', '--cname-endpoint'],
      /region of the bucket is not given/,
      /--region/,
    ],
  })
})

t.test('variables', async (t) => {
  const by = (environment: Readonly<Record<string, string>>): WorldRun => ({ input, environment })
  const to = [...fromInput, ...target]
  const check = (environment: Readonly<Record<string, string>>, message: RegExp, hint: RegExp, words = to) =>
    refuses(t, words, 'USAGE', message, hint, by(environment))
  await check({ ACME_OSS_TIMEOUT: 'soon' }, /--timeout .*"soon"/, /60/)
  await check({ ACME_OSS_ALLOW_OLDER: 'maybe' }, /--allow-older .*"maybe"/, /ACME_OSS_ALLOW_OLDER=1/)
  await check({ ACME_OSS_SSE: 'none' }, /--sse .*none/, /AES256/)
  await check({ ACME_OSS_BUCKET: 'No' }, /cannot be the name of a bucket/, /3 to 63/, fromInput)
  await check({ ACME_OSS_PREFIX: '/certs' }, /--prefix says|begins with a slash/, /--prefix|--bucket/, fromInput)
  await check({ ACME_OSS_DIRECTORY: '  ' }, /--directory was given without a value/, /ACME_OSS_DIRECTORY/, fromInput)

  const json = await world.run(['deploy', '--frobnicate'], { environment: { ACME_OSS_JSON: '1' } })
  t.equal(json.code, 2)
  t.match(resultOf(json), { command: 'deploy', ok: false, error: { code: 'USAGE', message: /--frobnicate/ } })
  const off = await world.run(['deploy', '--frobnicate', '--json=false'], { environment: { ACME_OSS_JSON: '1' } })
  t.match(off, { code: 2, stdout: '', stderr: /^error: / })
  for (const on of ['--json=1', '--json=yes', '--json=true']) {
    const run = await world.run(['deploy', '--frobnicate', on])
    t.equal(run.code, 2)
    t.equal(resultOf(run).error?.code, 'USAGE', on)
  }
})

t.test('a secret on the command line is not repeated', async (t) => {
  const secret = keepSecret(`hunter2${randomBytes(12).toString('hex')}`)
  const run = await world.run([...fromInput, ...target, `--access-key-secret=${secret}`], { input, terse: true })
  t.equal(run.code, 2)
  t.notMatch(run.stderr, secret)
})

t.test('what is asked for before anything can be refused', async (t) => {
  for (const words of [['--help'], ['-h'], ['help']]) {
    const run = await world.run(words, { terse: true })
    t.match(run, { code: 0, stdout: /^acme-oss <command>.*\n[\s\S]*deploy {2,}/, stderr: '' })
  }
  const help = await world.run(['deploy', '--frobnicate', '--help'], { terse: true })
  t.match(help, { code: 0, stdout: /^acme-oss deploy/, stderr: '' })
  t.equal(help.stdout.match(/^ {2}acme-oss deploy |^ {2}cat /gm)?.length, 2, 'two examples')
  t.ok(
    help.stdout.split('\n').every((line) => line.length <= 160),
    'lines of a length that can be read',
  )
  for (const words of [['--version'], ['-V']])
    t.match(await world.run(words, { terse: true }), { code: 0, stdout: /^\d/ })
})

t.test('after all of this', async (t) => {
  t.match(surroundings(), { requests: 0, connections: 0 })
  for (const name of ['state', 'tls']) t.notOk(existsSync(world.path(name)), `there is no ${name}`)
  const leaf = await mintLeaf({ issuer: intermediate, names: ['example.com'] })
  const run = await world.run(['deploy', '--fullchain', '-', ...target], {
    input: leaf.pem + intermediate.pem + keyPem(leaf.key, 'pkcs8'),
  })
  t.equal(run.code, 0, 'the very words work where nothing is wrong')
})

await proveSilence(t)
