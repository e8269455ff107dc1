// How each receiver is addressed, with signatures reckoned once more here, and what its answers are taken for.
import { execFileSync } from 'node:child_process'
import t from 'tap'
import type { ReceiverKind } from '../../src/config/alerts.js'
import type { Message } from '../../src/monitor/alert-message.js'
import type { Concern } from '../../src/monitor/concern.js'
import { receivers } from '../../src/monitor/receivers/index.js'

const now = new Date('2026-05-01T12:00:00.789Z')
const url = 'https://robot.example/send?access_token=0123456789abcdef'
const concern: Concern = {
  id: 'drift a',
  kind: 'drift',
  name: 'a.example',
  place: 'cdn www.a.example',
  sentence: 'something & <!channel> @all',
  hint: 'look <@U1>',
}
const message: Message = {
  host: 'web1',
  at: now,
  isTest: false,
  firing: [{ ...concern, isAgain: false }],
  recovered: [
    {
      id: 'b',
      kind: 'revoked',
      name: 'b',
      place: null,
      sentence: 'b was',
      stage: null,
      at: '2026-04-30T00:00:00.000Z',
    },
  ],
}

/** By openssl, which is told the key in hexadecimal digits, since it may hold a line end. */
const hmac = (key: string, text: string): string => {
  const hexKey = Buffer.from(key).toString('hex')
  const words = ['dgst', '-sha256', '-mac', 'HMAC', '-macopt', `hexkey:${hexKey}`, '-binary']
  return execFileSync('openssl', words, { input: text }).toString('base64')
}

const sent = (kind: ReceiverKind, secret?: string, what = message) => {
  const { url: to, headers, body } = receivers[kind].request(what, { url, secret }, now)
  t.match(headers['content-type'], /^application\/json/)
  return { to, body: JSON.parse(body) as Record<string, unknown> }
}

t.test('webhook', async (t) => {
  const { to, body } = sent('webhook')
  t.equal(to, url)
  t.same(body, {
    schema: 'acme-oss/1',
    event: 'alert',
    host: 'web1',
    at: '2026-05-01T12:00:00.789Z',
    firing: [{ ...concern, again: false }],
    recovered: [
      { id: 'b', kind: 'revoked', name: 'b', place: null, sentence: 'b was', told: '2026-04-30T00:00:00.000Z' },
    ],
    more: { firing: 0, recovered: 0 },
  })
  const many = { ...message, firing: Array.from({ length: 130 }, () => ({ ...concern, isAgain: true })) }
  const { firing, more } = sent('webhook', undefined, many).body as { firing: unknown[]; more: unknown }
  t.equal(firing.length, 100)
  t.same(more, { firing: 30, recovered: 0 })
  t.equal(sent('webhook', undefined, { ...message, isTest: true }).body['event'], 'test')
})

t.test('dingtalk', async (t) => {
  t.equal(sent('dingtalk').to, url, 'not signed without a secret')
  const { to, body } = sent('dingtalk', 'SEC0123')
  const query = new URL(to).searchParams
  t.equal(query.get('access_token'), '0123456789abcdef')
  t.equal(query.get('timestamp'), '1777636800789', 'in milliseconds')
  t.equal(query.get('sign'), hmac('SEC0123', '1777636800789\nSEC0123'))
  t.notMatch(to.slice(to.indexOf('sign=')), /[+/]/, 'escaped, so that no + is taken for a blank')
  t.match(body, { msgtype: 'text', at: { isAtAll: false, atMobiles: [] } })
  t.notMatch(body['text'], /@|<|>/)
})

t.test('feishu', async (t) => {
  t.same(Object.keys(sent('feishu').body), ['msg_type', 'content'])
  const { to, body } = sent('feishu', 'sec')
  t.equal(to, url)
  t.match(body, { timestamp: '1777636800', sign: hmac('1777636800\nsec', ''), msg_type: 'text' })
  t.match(body['content'], {
    text: /^acme-oss on web1: 1 to see to, 1 recovered\nfailing: something & ‹!channel› ＠all/,
  })
})

t.test('wecom', async (t) => {
  const long = { ...message, firing: Array.from({ length: 30 }, () => ({ ...concern, isAgain: false })) }
  const { body } = sent('wecom', undefined, long)
  t.equal(body['msgtype'], 'text')
  const { content } = body['text'] as { content: string }
  t.ok(Buffer.byteLength(content) <= 2048)
  t.match(content, / more: acme-oss status shows them all$/)
})

t.test('slack', async (t) => {
  const { body } = sent('slack')
  t.match(body, { mrkdwn: false, link_names: false })
  t.match(body['text'], 'something &amp; &lt;!channel&gt; ＠all (what to do: look &lt;＠U1&gt;)')
})

t.test('answers', async (t) => {
  const json = (value: object): string => JSON.stringify(value)
  const cases: readonly [ReceiverKind, status: number, body: string, expected: object | undefined][] = [
    ['webhook', 200, '', undefined],
    ['webhook', 204, 'whatever', undefined],
    ['webhook', 302, '', { code: '302', passing: false, hint: /leads to/ }],
    ['webhook', 404, '', { code: '404', passing: false, hint: /URL/ }],
    ['webhook', 503, '', { code: '503', passing: true }],
    ['dingtalk', 200, json({ errcode: 0, errmsg: 'ok' }), undefined],
    [
      'dingtalk',
      200,
      json({ errcode: 310000, errmsg: 'sign not match\nmore' }),
      {
        code: '310000',
        message: 'it refused with 310000: sign not match more',
        hint: /secret-file.*keywords/,
        passing: false,
      },
    ],
    ['dingtalk', 200, json({ errcode: 300001, errmsg: 'token is not exist' }), { hint: /access_token/ }],
    ['dingtalk', 200, json({ errcode: 410100 }), { passing: true, hint: /20 messages a minute/ }],
    ['dingtalk', 200, '<html>', { code: 'unknown', hint: /URL/ }],
    ['dingtalk', 502, '<html>', { code: '502', passing: true }],
    ['feishu', 200, json({ code: 0, msg: 'success' }), undefined],
    ['feishu', 200, json({ StatusCode: 0, StatusMessage: 'success' }), undefined],
    ['feishu', 200, json({ code: 19021, msg: 'sign match fail' }), { code: '19021', hint: /secret-file.*clock/ }],
    ['feishu', 400, json({ code: 19001, msg: 'invalid' }), { code: '19001', hint: /token/ }],
    ['feishu', 400, json({ code: 9499, msg: 'too many' }), { passing: true }],
    ['wecom', 200, json({ errcode: 0, errmsg: 'ok' }), undefined],
    ['wecom', 200, json({ errcode: 93000, errmsg: 'invalid webhook url' }), { code: '93000', hint: /key in its URL/ }],
    ['wecom', 200, json({ errcode: 45009, errmsg: 'freq' }), { code: '45009', passing: true }],
    ['wecom', 500, json({ errcode: 0 }), { code: '500', passing: true }],
    ['slack', 200, 'ok', undefined],
    ['slack', 200, '<html>', { code: 'unknown', message: /something else/ }],
    ['slack', 403, 'invalid_token', { code: 'invalid_token', message: 'it refused: invalid_token', hint: /not known/ }],
    ['slack', 404, 'no_service', { code: 'no_service', passing: false }],
    ['slack', 429, '', { code: '429', passing: true }],
  ]
  for (const [kind, status, body, expected] of cases) {
    const found = receivers[kind].refusal({ status, body })
    const about = `${kind} ${status} ${body}`
    if (expected === undefined) t.equal(found, undefined, about)
    else t.match(found, expected, about)
  }
})
