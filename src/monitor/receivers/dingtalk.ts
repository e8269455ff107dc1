import { createHmac } from 'node:crypto'
import { plainText } from '../alert-message.js'
import { jsonHeaders, type Receiver, refusedByCode } from './receiver.js'

// It takes 20000 bytes, with all that JSON puts around them.
const longest = 15_000

/** A custom robot in a group of DingTalk. */
export const dingtalk: Receiver = {
  request: (message, { url, secret }, now) => ({
    url: secret === undefined ? url : signed(url, secret, now),
    headers: jsonHeaders,
    body: JSON.stringify({
      msgtype: 'text',
      text: { content: plainText(message, longest) },
      at: { atMobiles: [], isAtAll: false },
    }),
  }),
  refusal: (answer) =>
    refusedByCode(answer, {
      code: ['errcode'],
      words: 'errmsg',
      hints: {
        '300001': 'the access_token in its URL is not known (any more): copy the URL of the robot once more',
        '310000':
          "one of the robot's security settings kept it: give its secret as secret-file, or add acme-oss to its keywords, or this machine's address to its list; and is the clock right?",
        '400101': 'the access_token in its URL is not known (any more): copy the URL of the robot once more',
        '400102': 'the robot has been switched off: switch it on in the settings of its group',
        '410100': 'a robot takes 20 messages a minute',
        '130101': 'a robot takes 20 messages a minute',
      },
      passing: ['-1', '410100', '130101'],
    }),
}

const signed = (url: string, secret: string, now: Date): string => {
  const timestamp = now.getTime()
  const to = new URL(url)
  to.searchParams.set('timestamp', `${timestamp}`)
  to.searchParams.set('sign', createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64'))
  return to.href
}
