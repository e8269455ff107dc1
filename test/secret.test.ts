import { format, inspect } from 'node:util'
import t from 'tap'
import { holdsSecret, redact, Secret } from '../src/secret.js'
import { generateKey, keyPem, mintLeaf, rsaKey } from './mint.js'

t.test('a secret gives itself away to reveal() alone', async (t) => {
  const text = 'the-quick-brown-fox'
  const secret = new Secret(text)
  t.equal(secret.reveal(), text)
  const shown: Record<string, string> = {
    'as a string': String(secret),
    'in a template': `${secret}`,
    'put together': ['a', secret].join('+') + secret,
    JSON: JSON.stringify({ secret, list: [secret] }),
    inspected: inspect(secret),
    'inspected deep inside': inspect({ a: { b: [new Map([['c', secret]])] } }, { depth: 10, showHidden: true }),
    'inspected without its own say': inspect(secret, { customInspect: false, showHidden: true }),
    formatted: format('%s %j %o %O %d', secret, secret, secret, secret, secret),
    'as an error': inspect(new Error('failed', { cause: { secret } })),
    'its properties': JSON.stringify([Object.entries(secret), Object.getOwnPropertyNames(secret), { ...secret }]),
    cloned: inspect(structuredClone(secret)),
  }
  for (const [how, printed] of Object.entries(shown)) t.notMatch(printed, text, how)
  t.equal(String(secret), '[secret]')
  t.equal(JSON.stringify(secret), '"[secret]"')
  t.equal(inspect(secret), '[secret]')
})

t.test('redacting by value', async (t) => {
  new Secret('AccessKeySecret/1+2=')
  t.equal(redact('a AccessKeySecret/1+2= b AccessKeySecret/1+2='), 'a [secret] b [secret]')
  t.equal(redact('?k=AccessKeySecret%2F1%2B2%3D&x'), '?k=[secret]&x', 'as it stands in a URL')
  t.equal(redact('{"a":"AccessKeySecret/1+2="}'), '{"a":"[secret]"}')
  t.equal(redact('AccessKeySecret'), 'AccessKeySecret', 'a part of it is not it')
  t.equal(redact(''), '')
  t.equal(redact('nothing in it'), 'nothing in it')

  new Secret('  first-line-of-it  \r\n\tsecond-line-of-it\n\n')
  t.equal(
    redact('second-line-of-it, first-line-of-it'),
    '[secret], [secret]',
    'line by line, without what is around it',
  )

  new Secret('short')
  new Secret('seven77')
  new Secret('eight888')
  t.equal(redact('short seven77 eight888'), 'short seven77 [secret]', 'what is shorter than eight says nothing')
  new Secret('')
  new Secret('\n\n')
  t.equal(redact('a\n\nb'), 'a\n\nb')
  new Secret('$& $1 (.*) [a-z]')
  t.equal(redact('x $& $1 (.*) [a-z] y'), 'x [secret] y', 'no pattern, in neither place')
})

t.test('a secret that begins with another is taken out whole, whichever came first', async (t) => {
  new Secret('prefix-one')
  new Secret('prefix-one-and-more')
  t.equal(redact('prefix-one-and-more'), '[secret]')
  new Secret('suffix-two-and-more')
  new Secret('two-and-more')
  t.equal(redact('suffix-two-and-more two-and-more'), '[secret] [secret]')
})

t.test('any text can be a secret', async (t) => {
  const odd = [
    'half a pair \ud800 of it',
    '\udc00\ud800 turned round',
    'nul \0 in it',
    '密码密码密码密码',
    '%%%%%%%%%%',
  ]
  for (const text of odd) {
    t.doesNotThrow(() => new Secret(text), JSON.stringify(text))
    t.equal(redact(`a ${text} b`), 'a [secret] b')
  }
})

t.test('private keys go, known or not', async (t) => {
  const key = generateKey('ec384')
  for (const form of ['pkcs8', 'sec1', 'pkcs8-encrypted', 'legacy-encrypted'] as const) {
    const pem = keyPem(key, form)
    t.equal(redact(`before\n${pem}after`), 'before\n[secret]\nafter', form)
    t.equal(redact(JSON.stringify({ pem })), '{"pem":"[secret]\\n"}', `${form} in JSON`)
    const cut = pem.slice(0, -30)
    t.equal(redact(`before ${cut}`), 'before [secret]', `${form} cut off`)
  }
  t.equal(redact(keyPem(key, 'sec1').repeat(2)), '[secret]\n[secret]\n')
  const { pem } = await mintLeaf({ names: ['a.test'] })
  t.equal(redact(pem), pem, 'a certificate is for everybody')
})

t.test('lines of a known key go wherever they stand', async (t) => {
  for (const key of [rsaKey('secret'), generateKey('ec256'), generateKey('ed25519')]) {
    const pem = keyPem(key, 'pkcs8')
    new Secret(pem)
    const lines = pem.split('\n').filter((line) => line.length >= 8 && !line.startsWith('-----'))
    t.ok(lines.length > 0)
    for (const line of lines) t.equal(redact(`a ${line} b`), 'a [secret] b')
    t.notMatch(redact(encodeURIComponent(pem)), encodeURIComponent(lines[0] ?? ''), 'in the body of a request')
    t.notMatch(redact(lines.join('\\n')), lines[0])
  }
})

t.test('what stands beside a key in the same text is no secret', async (t) => {
  const { pem, key } = await mintLeaf({ names: ['a.test'] })
  const remark = 'a remark of ten words or so, in front of it all'
  const written = keyPem(key, 'pkcs8')
  const secret = new Secret(`${remark}\n${pem}${written}${remark}\n`)
  t.equal(redact(pem + remark), pem + remark)
  t.equal(redact(secret.reveal()), `${remark}\n${pem}[secret]\n${remark}\n`)
  t.notMatch(redact(written.replace(/-----.*-----/g, '')), written.split('\n')[1])
})

t.test('a part of a secret is recognized, however it was wrapped and escaped', async (t) => {
  for (const key of [rsaKey('parts'), generateKey('ec256')]) {
    const pem = keyPem(key, 'pkcs8')
    new Secret(pem)
    const body = pem.split('\n').slice(1, -2).join('')
    const part = body.slice(30, 60)
    const forms: Readonly<Record<string, string>> = {
      plain: part,
      'in short lines': part.replace(/.{7}/g, '$& '),
      'percent-encoded': encodeURIComponent(part.replace(/.{7}/g, '$&\n')),
      'percent-encoded twice': encodeURIComponent(encodeURIComponent(part.replace(/.{7}/g, '$&\n'))),
      'in JSON': JSON.stringify(part.replace(/.{7}/g, '$&\r\n')),
      'in JSON in JSON': JSON.stringify(JSON.stringify(part.replace(/.{7}/g, '$&\n'))),
      'in XML': part.replace(/.{7}/g, '$&&#x0A;'),
      'with a blank for a plus': part.replaceAll('+', ' '),
      'with escaped slashes': part.replaceAll('/', '\\/'),
    }
    for (const [how, form] of Object.entries(forms)) t.ok(holdsSecret(`bad value ${form} there`), how)
    t.notOk(holdsSecret(body.slice(30, 40)), 'a few letters of it say nothing')
  }
  new Secret('Token/with+9')
  t.ok(holdsSecret('Token%252Fwith%252B9'), 'a short one as a whole')
  t.notOk(holdsSecret('Token%252Fwith'))
})

t.test('what looks like a key is taken for one, known or not', async (t) => {
  const pem = keyPem(generateKey('ec384'), 'sec1')
  for (const text of [
    '-----BEGIN EC PRIVATE KEY-----',
    'BEGIN+PRIVATE+KEY',
    'BEGIN%20PRIVATE%20KEY',
    pem.split('\n')[1] ?? '',
    encodeURIComponent(pem.replace(/-----.*-----|\n/g, '').slice(0, 60)),
    Buffer.from(pem).toString('base64'),
  ])
    t.ok(holdsSecret(`bad: ${text}`), text)
  for (const text of [
    '',
    'The private key does not match the certificate.',
    "User not authorized to operate on the specified resource, or this API doesn't support RAM.",
    'The name acme-oss-0123456789abcdef0123456789abcdef01234567 is taken',
    `sum ${'0123456789ABCDEF'.repeat(4)}`,
    'acs:oss:*:1234567890123456:my-ssl-certs/certs/example.com/latest/fullchain.pem',
    'request 7B2E3C44-8A1B-5C6D-9E0F-112233445566 at 100%, see https://help.example/a/b?c=%E4%B8%AD%zz\\',
  ])
    t.notOk(holdsSecret(text), text)
})
