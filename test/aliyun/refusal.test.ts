import t from 'tap'
import { explainRefusal, explainSilence, type Refusal } from '../../src/aliyun/refusal.js'
import { Secret } from '../../src/secret.js'
import { generateKey, type KeyForm, keyPem, rsaKey } from '../mint.js'

const attempted = {
  doing: 'putting oss://my-ssl-certs/certs/cert.pem',
  action: 'oss:PutObject',
  resource: 'acs:oss:*:*:my-ssl-certs/certs/cert.pem',
}
const explain = (refusal: Partial<Refusal>) =>
  explainRefusal({ status: 403, code: 'X', message: '', ...refusal }, attempted)

t.test('what may pass and what may not', (t) => {
  const passing: readonly Partial<Refusal>[] = [
    { status: 500, code: 'InternalError' },
    { status: 502, code: '' },
    { status: 503, code: 'ServiceUnavailable' },
    { status: 503, code: 'UploadTrafficRateLimitExceeded' },
    { status: 504, code: '' },
    { status: 429, code: '' },
    { status: 408, code: '' },
    { status: 400, code: 'RequestTimeout' },
    { status: 400, code: 'Throttling' },
    { status: 400, code: 'Throttling.User' },
    { status: 400, code: 'ServiceBusy' },
    { status: 203, code: 'ServiceBusy' },
    { status: 400, code: 'LastOperationNotFinished' },
  ]
  for (const refusal of passing) {
    const error = explain({ ...refusal, retryAfter: 1000 })
    t.match(
      error,
      { code: 'CLOUD_UNAVAILABLE', passing: true, retryAfter: 1000, hint: /may pass by itself/ },
      JSON.stringify(refusal),
    )
  }
  const lasting: readonly Partial<Refusal>[] = [
    { status: 403, code: 'AccessDenied' },
    { status: 404, code: 'NoSuchBucket' },
    { status: 409, code: 'FileAlreadyExists' },
    { status: 400, code: 'InvalidArgument' },
    { status: 403, code: '' },
    { status: 301, code: '' },
  ]
  for (const refusal of lasting) {
    t.match(explain(refusal), { code: 'CLOUD_REFUSED', passing: false, retryAfter: undefined }, JSON.stringify(refusal))
  }
  t.end()
})

t.test('every code that is known says what to do', (t) => {
  const hints: Readonly<Record<string, RegExp>> = {
    AccessDenied: /grant the RAM user oss:PutObject on acs:oss:\*:\*:my-ssl-certs\/certs\/cert\.pem/,
    AccessKeyIdAndSecurityTokenNotMatch: /different sessions/,
    BatchSetBusinessError: /redirect from HTTPS to HTTP/,
    DomainRecordConflict: /CNAME/,
    DomainRecordLocked: /console/,
    IncorrectDomainUser: /another account/,
    'InvalidDomainName.NoExist': /no such zone in AliDNS/,
    'InvalidFunctions.Malformed': /does not know this setting/,
    'NoPermission.SLR': /service-linked role/,
    'QuotaExceeded.Record': /as many records/,
    InvalidAccessKeyId: /ALIBABA_CLOUD_ACCESS_KEY_ID.*ALIBABA_CLOUD_SECURITY_TOKEN/,
    InvalidSecurityToken: /temporary credentials/,
    NoSuchBucket: /check --bucket/,
    PublicEndpointForbidden: /--endpoint https:\/\/your\.domain --cname-endpoint/,
    RequestTimeTooSkewed: /clock of this machine/,
    SecurityTokenExpired: /temporary credentials/,
    SignatureDoesNotMatch: /ALIBABA_CLOUD_ACCESS_KEY_SECRET/,
    TransferAccelerationDisabled: /transfer acceleration/,
    UserDisable: /billing console/,
    'Something New & Odd': /q=Something%20New%20%26%20Odd$/,
  }
  for (const [code, hint] of Object.entries(hints)) t.match(explain({ code }), { hint, vendor: { code } }, code)
  // Words that every object of JavaScript knows.
  for (const code of ['constructor', 'toString', '__proto__']) {
    t.equal(explain({ code }).hint, `look the code up at https://api.aliyun.com/troubleshoot?q=${code}`)
  }
  const elsewhere = explain({ code: 'AccessDenied', endpoint: 'oss-cn-beijing.aliyuncs.com' })
  t.match(elsewhere.hint, /the bucket is at oss-cn-beijing\.aliyuncs\.com.*--region.*--endpoint/)
  t.end()
})

t.test('one sentence, and nothing of the request', (t) => {
  const error = explain({
    code: 'SignatureDoesNotMatch',
    requestId: 'ABC',
    message: `It does not match.\nStringToSign: x-oss-security-token:${'s'.repeat(50)}`,
  })
  t.equal(error.message, 'putting oss://my-ssl-certs/certs/cert.pem: SignatureDoesNotMatch (It does not match)')
  t.same(error.vendor, { code: 'SignatureDoesNotMatch', requestId: 'ABC' })
  t.ok(explain({ message: 'x'.repeat(10_000) }).message.length < 400)
  t.equal(
    explain({ status: 502, code: '', message: '<html>' }).message,
    'putting oss://my-ssl-certs/certs/cert.pem: HTTP 502',
    'a page is not quoted',
  )
  t.equal(explain({ code: 'Odd', message: '' }).message, 'putting oss://my-ssl-certs/certs/cert.pem: Odd')
  t.notMatch(explain({ status: 403, code: '' }).hint, /q=$/, 'a hint that leads somewhere')
  t.end()
})

/** What was sent, as a vendor may quote it. */
const quotings: Readonly<Record<string, (sent: string) => string>> = {
  'as it is': (sent) => sent,
  'in one line': (sent) => sent.replaceAll('\n', ''),
  'with blanks for line ends': (sent) => sent.replaceAll('\n', ' '),
  'percent-encoded': encodeURIComponent,
  'percent-encoded twice': (sent) => encodeURIComponent(encodeURIComponent(sent)),
  'as a form': (sent) => new URLSearchParams({ SSLPri: sent }).toString(),
  'JSON-escaped': (sent) => JSON.stringify(sent),
  'JSON-escaped twice': (sent) => JSON.stringify(JSON.stringify(sent)),
  'base64 of it': (sent) => Buffer.from(sent).toString('base64'),
  'a part of its DER': (sent) => sent.replace(/-----[^-]+-----|\n/g, '').slice(10, 150),
  'a small part of its DER': (sent) => sent.replace(/-----[^-]+-----|\n/g, '').slice(70, 100),
}

t.test('nothing of a key or token that a vendor repeats', (t) => {
  const token = `CAIS${'token/with+special=chars'.repeat(4)}==`
  new Secret(token)
  const sent: Record<string, string> = { 'STS token': token }
  const keys = [
    ['RSA', rsaKey('echoed'), ['pkcs8', 'pkcs1']],
    ['EC', generateKey('ec256'), ['pkcs8', 'sec1']],
  ] as const satisfies readonly (readonly [string, unknown, readonly KeyForm[]])[]
  for (const [kind, key, forms] of keys)
    for (const form of forms) {
      const pem = keyPem(key, form)
      new Secret(pem)
      sent[`${kind} ${form}`] = pem
    }
  // What stands before it moves where the message is cut.
  for (const [what, text] of Object.entries(sent))
    for (const [how, quote] of Object.entries(quotings))
      for (const before of ['', 'bad value: ', `${'far too long '.repeat(13)}`]) {
        const { message } = explain({ code: 'InvalidSSLPri', message: `${before}${quote(text)} is refused` })
        const letters = message.replace(/[^A-Za-z0-9]/g, '')
        const secret = text.replace(/-----[^-]+-----|[^A-Za-z0-9]/g, '')
        const shown = Array.from({ length: Math.max(0, secret.length - 12) }, (_, at) => secret.slice(at, at + 12))
        t.notOk(
          shown.some((part) => letters.includes(part)),
          `${what}, ${how}: ${message}`,
        )
        t.notMatch(message, /[A-Za-z0-9+/=]{40}|PRIVATE.?KEY/, `${what}, ${how}`)
      }
  t.equal(
    explain({ code: 'InvalidSSLPri', message: `bad value: ${sent['EC sec1']} is refused` }).message,
    'putting oss://my-ssl-certs/certs/cert.pem: InvalidSSLPri (bad value: [secret])',
    'what stands beside it is told',
  )
  t.equal(
    explain({ code: 'InvalidSSLPri', message: 'The private key does not match the certificate.' }).message,
    'putting oss://my-ssl-certs/certs/cert.pem: InvalidSSLPri (The private key does not match the certificate)',
  )
  t.end()
})

t.test('silence', (t) => {
  const broken = (code: string) => Object.assign(new Error(code), { code })
  const silence = (error: unknown) => explainSilence(error, attempted, 'my-ssl-certs.oss.example')
  const timeout = silence(AbortSignal.timeout(1).reason ?? new DOMException('late', 'TimeoutError'))
  t.match(timeout, { code: 'CLOUD_UNAVAILABLE', passing: true, message: /\(no answer in time\)/, vendor: undefined })
  for (const code of ['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'EPIPE', 'ENETUNREACH', 'EAI_AGAIN']) {
    t.match(silence(broken(code)), {
      code: 'CLOUD_UNAVAILABLE',
      passing: true,
      message: new RegExp(`my-ssl-certs\\.oss\\.example cannot be reached \\(${code}\\)`),
      hint: /check that this machine reaches my-ssl-certs\.oss\.example/,
    })
  }
  t.match(silence(broken('ENOTFOUND')), { passing: true, hint: /there is no host .*--region.*--endpoint/ })
  const untrusted = [
    'SELF_SIGNED_CERT_IN_CHAIN',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_GET_ISSUER_CERT',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_UNTRUSTED',
  ]
  for (const code of untrusted) {
    t.match(silence(broken(code)), { passing: false, hint: /not trusted here.*NODE_EXTRA_CA_CERTS/ }, code)
  }
  t.match(silence('odd'), { passing: true, message: /\(odd\)/ })
  t.end()
})
