import { expect, it } from 'vitest';
import { giveRooms, takeRooms } from '../../../../src/backup/stream/kept-rooms.ts';

it('gives the rooms of one backup to the next, and to none besides', () => {
  const first = takeRooms(3);
  giveRooms(first);
  const second = takeRooms(5);
  const third = takeRooms(2);
  expect(second.slice(0, 3)).toEqual(first);
  for (const { bytes, text } of first) {
    expect(second.filter((room) => room.bytes === bytes && room.text === text)).toHaveLength(1);
    expect(third.some((room) => room.bytes === bytes || room.text === text)).toBe(false);
  }
  expect(new Set([...second, ...third].flatMap(({ bytes, text }) => [bytes, text])).size).toBe(14);
});

it('keeps no more rooms than a backup with five workers needs', () => {
  const many = takeRooms(12);
  giveRooms(many);
  const again = new Set(takeRooms(12).map(({ bytes }) => bytes));
  expect(many.filter(({ bytes }) => again.has(bytes))).toHaveLength(8);
});
