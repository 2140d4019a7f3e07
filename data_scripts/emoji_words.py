"""The labels of `emoji`: keywords of the CLDR, cleaned by what was found in reading all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from data_scripts.emoji_concepts import Concept

MINIMUM_CONCEPTS = 10
MAXIMUM_LABELS = 160
DUPLICATE_PHI = 0.95

# A keyword, then others that CLDR uses for the same thing in other places.
SYNONYMS = """
anger: angry mad upset rage pissed
baby: child children kid infant newborn
bag: handbag purse backpack luggage baggage briefcase suitcase
bathroom: shower toilet restroom lavatory wc bath
bird: ornithology
bored: meh unamused unimpressed indifferent
car: automobile taxi cab suv
celebration: celebrate festival
clothing: clothes dressed
cloud: cloudy
cold: ice freezing
cry: crying tear sob
dead: death die skull skeleton undead
drink: drinking beverage alcohol booze
embarrassed: awkward ashamed blush flushed embarrass
fantasy: fairy fairytale tale
farm: farmer farming
fast: speed quick hurry zoom rush race racing
fear: scared fearful scary afraid horror
flying: fly flight plane airplane aeroplane airport
frown: frowning disappointed
gesture: gesturing
grin: grinning
hat: cap helmet
insect: bug
instrument: musical
kiss: kissing
laugh: laughing laughter joy haha lol rofl hilarious hehe lmao
love: loving lover
mail: email e-mail envelope letter post postbox mailbox
medicine: medical doctor hospital medic
money: cash currency banknote bill dollar
monster: creature
mouth: lip
ocean: sea marine
paper: page document
party: partying
pet: dog puppy kitten
phone: telephone cell mobile call
prohibited: forbidden prohibit
quiet: secret silent silence mute shh shush
sad: unhappy dejected sadness
school: education
science: scientist lab experiment chemistry chemist
shoe: boot sandal skate
sick: ill disease flu fever virus
smile: smiling smiley
sound: loud volume
sport: athletic athlete
sun: sunny
surprise: surprised shock shocked astonished wow whoa woah
swim: swimming swimsuit surf
tired: sleep sleepy sleeping nap exhausted weary yawn bedtime goodnight zzz
train: railway rail subway metro tram
vehicle: truck bus motorcycle
video: movie film cinema
weapon: sword gun dagger bomb
win: winning winner prize award champion trophy victory medal
worry: worried nervous anxious stressed stress tense unsure concerned
writing: write pen pencil ink crayon memo
zodiac: horoscope
"""
SYNONYM = {
    word: line.split(":")[0] for line in SYNONYMS.split("\n") if line for word in line.split(":")[1].split()
}

# CLDR gives a keyword to some concepts and forgets it for others; the subgroup in Unicode's list completes it.
COMPLETED = """
animal: animal-mammal animal-bird animal-amphibian animal-reptile animal-marine animal-bug
arrow: arrow
body: body-parts
building: place-building
cat: cat-face
clothing: clothing
computer: computer
dessert: food-sweet
drink: drink
flower: plant-flower
flying: transport-air
food: food-fruit food-vegetable food-prepared food-asian food-sweet
fruit: food-fruit
geometric: geometric
hand: hand-fingers-open hand-fingers-partial hand-fingers-closed hand-single-finger hands hand-prop
heart: heart
instrument: musical-instrument
mail: mail
medicine: medical
money: money
music: musical-instrument
office: office
person: person person-gesture person-role person-activity person-sport person-resting
phone: phone
plant: plant-flower plant-other
religion: religion
science: science
sign: transport-sign warning
sport: sport
tool: tool
vegetable: food-vegetable
vehicle: transport-ground transport-water transport-air
writing: writing
"""
COMPLETES = {
    subgroup: {other.split(":")[0] for other in COMPLETED.split("\n") if subgroup in other.split()[1:]}
    for line in COMPLETED.split("\n")
    for subgroup in line.split()[1:]
}

# Keywords that say nothing about the picture: slang, grammar, and words that stand for unlike things.
WITHOUT_MEANING = """
143 and bar feels glass good hot ily no not omg open small sweet symbol up whatever with woman
"""
SAYS_NOTHING = set(WITHOUT_MEANING.split())

# Keywords that do not name anything drawn: a label, then the concepts (CLDR short names) it is taken from.
NOT_DRAWN_LIST = """
animal: feather; wing; spider web; coral; microbe
baby: family
bag: face with bags under eyes
box: accordion; check box with check
building: brick; rock; wood
car: wheel; police car light; mountain railway; tram car; railway car; aerial tramway
card: red square; yellow square; placard
cat: tiger face; tiger; leopard
clothing: footprints; closed umbrella; umbrella; umbrella with rain drops; folding hand fan; shopping \
bags; hair pick; lipstick; ring; gem stone
cloud: dashing away; thought balloon; wind face; fight cloud
cold: grinning face with sweat; face with medical mask; anxious face with sweat; downcast face with sweat; \
droplet
computer: battery; low battery; electric plug; abacus
cry: tear-off calendar; droplet
dead: expressionless face; flushed face; leafless tree; game die
drink: ice
fast: hamburger; french fries; fast up button
flag: flag in hole
flower: flower playing cards
flying: flying disc; feather; seat; suspension railway; mountain cableway; aerial tramway; baggage claim
food: pie; fork and knife; teapot; cooking; face savoring food
heart: stethoscope; house; house with garden
instrument: musical score; musical note; musical notes
light: light blue heart; feather; light rail; transgender flag
mail: input latin uppercase; input latin lowercase; input latin letters; red envelope; postal horn; \
triangular flag
mark: ON! arrow; UP! button; kiss mark; bookmark tabs; bookmark; part alternation mark
money: gem stone; hand with index finger and thumb crossed
moon: moon cake
person: disguised face; fairy
pet: hot dog; pleading face; bone
phone: sad but relieved face
plant: shovel; empty nest; nest with eggs
prohibited: see-no-evil monkey; hear-no-evil monkey; speak-no-evil monkey
red: anatomical heart; toolbox; upwards button; red triangle pointed up
religion: atom symbol; peace symbol
sad: grinning face with sweat; droplet; trombone; enraged face; angry face
school: videocassette; card index; bus
shoe: skateboard
sign: sign of the horns; multiply; minus; divide; heavy equals sign; heavy dollar sign
sport: sport utility vehicle
star: singer; dizzy
sun: cooking; sunflower; umbrella on ground
surprise: wrapped gift
tool: dagger; crossed swords; bomb; boomerang; shield; white cane; amphora; fire; crystal ball; anchor; \
trident emblem; Japanese symbol for beginner; magnifying glass tilted left; water pistol; bow and arrow
vehicle: police car light; wheel; anchor; station; railway track; bus stop; motorway; oil drum; fuel pump; \
horizontal traffic light; vertical traffic light; stop sign; construction; ring buoy; parachute; seat
water: water buffalo; Aquarius; water closet
white: transgender flag; heart decoration
win: smiling face with sunglasses; money bag; treasure chest
zodiac: lion; ox; ram; goat; snake; fish; crab; scorpion; amphora; bow and arrow; balance scale
"""
NOT_DRAWN = {
    line.split(":")[0]: {name.strip() for name in line.split(":")[1].split(";")}
    for line in NOT_DRAWN_LIST.split("\n")
    if line
}


def keyword_sets(concepts: Sequence[Concept]) -> list[set[str]]:
    """Keywords of each concept after cleaning: words of the CLDR keywords and short name, plurals and other
    words for the same thing joined, wider keywords added, keywords that name nothing drawn removed."""
    raw = [raw_words(concept) for concept in concepts]
    vocabulary = set().union(*raw)
    cleaned = []
    for concept, words in zip(concepts, raw, strict=True):
        singular = {singular_of(word, vocabulary) for word in words}
        found = {SYNONYM.get(word, word) for word in singular}
        found |= COMPLETES.get(concept.subgroup, set())
        cleaned.append({word for word in found if concept.name not in NOT_DRAWN.get(word, ())})
    return cleaned


def raw_words(concept: Concept) -> set[str]:
    """Keywords of a concept and the words of its short name, which CLDR counts among them."""
    if concept.national_flag:
        # The name of a country says nothing that is drawn.
        return set(concept.keywords) & {"flag"}
    return set(concept.keywords) | set(re.findall(r"[a-z’]{3,}", concept.name.lower()))


def singular_of(word: str, vocabulary: set[str]) -> str:
    """The singular if the word is the plural of another one."""
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if len(word) > 3 and word.endswith(ending) and word[: -len(ending)] + instead in vocabulary:
            return word[: -len(ending)] + instead
    return word


def choose_labels(keywords: Sequence[set[str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Labels, most frequent first, and pairs (dropped, kept) of those too alike (phi above 0.95)."""
    counts = Counter(word for words in keywords for word in words)
    ranked = sorted(
        (word for word, n in counts.items() if n >= MINIMUM_CONCEPTS and word not in SAYS_NOTHING),
        key=lambda word: (-counts[word], word),
    )
    kept: list[str] = []
    dropped = []
    for word in ranked:
        has = np.array([word in words for words in keywords])
        same = next(
            (
                other
                for other in kept
                if np.corrcoef(has, [other in words for words in keywords])[0, 1] > DUPLICATE_PHI
            ),
            None,
        )
        if same is None:
            kept.append(word)
        else:
            dropped.append((word, same))
    return kept[:MAXIMUM_LABELS], dropped
